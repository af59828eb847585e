//! Every word of the glossary has an origin.
//!
//! The column `from` lists the projects and fields that use the word in this sense, separated by
//! commas, optionally with remarks in parentheses: `ZooKeeper`, `Unix, systemd`,
//! `Curator (PersistentNode)`. A word of this project has a reason instead: `ours: REASON`.

use super::fault::Fault;
use super::table::tables;
use std::path::Path;

const PAGE: &str = "docs/glossary.md";
const WORD: &str = "word";
const COLUMN: &str = "from";
const OURS: &str = "ours:";
/// The fewest words of a reason.
const REASON_WORDS_MIN: usize = 3;
/// The projects and fields that a word may come from.
const ORIGINS: [&str; 30] = [
    "Ansible",
    "Consul",
    "Curator",
    "DJB",
    "Debian",
    "Docker",
    "Erlang",
    "HAProxy",
    "HTTP",
    "JSON",
    "Java",
    "Kubernetes",
    "Linux",
    "Nagios",
    "PHP",
    "Prometheus",
    "Rust",
    "TLS",
    "Unix",
    "YAML",
    "ZooKeeper",
    "computer science",
    "databases",
    "distributed systems",
    "etcd",
    "git",
    "kazoo",
    "monitoring",
    "systemd",
    "zkfarmer",
];

/// The words whose origin is missing or unknown.
pub(super) fn missing(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    if path != Path::new(PAGE) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for table in tables(text) {
        let Some(words) = table.column(WORD) else { continue };
        let Some(origins) = table.column(COLUMN) else {
            found.push((table.head.line, Fault::NoColumn { title: COLUMN }));
            continue;
        };
        let rows = table.rows.iter().filter(|row| !is_origin(row.cell(origins)));
        found.extend(rows.map(|row| {
            let (word, from) = (row.cell(words).to_owned(), row.cell(origins).to_owned());
            (row.line, Fault::NoOrigin { word, from })
        }));
    }
    found
}

fn is_origin(cell: &str) -> bool {
    match cell.strip_prefix(OURS) {
        Some(reason) => reason.split_whitespace().count() >= REASON_WORDS_MIN,
        None => without_remarks(cell).split(',').all(|origin| ORIGINS.contains(&origin.trim())),
    }
}

fn without_remarks(cell: &str) -> String {
    let pieces = cell.split('(');
    pieces.map(|piece| piece.rsplit(')').next().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_a_known_origin_or_a_reason() {
        let told = |from: &str| {
            let page =
                format!("| word | means | from |\n|---|---|---|\n| farm | hosts | {from} |\n");
            missing(Path::new(PAGE), &page)
        };
        for from in [
            "ZooKeeper",
            "Unix, systemd",
            "Curator (PersistentNode, its ancestor), kazoo (a recipe)",
            "ours: no tool has a word for it",
        ] {
            assert_eq!(told(from), [], "{from}");
        }
        for from in ["", "Zookeeper", "Unix, us", "Unix systemd", "ours: because", "ours", "(Unix)"]
        {
            let fault = Fault::NoOrigin { word: "farm".to_owned(), from: from.to_owned() };
            assert_eq!(told(from), [(3, fault)], "{from}");
        }
    }

    #[test]
    fn the_column_is_required() {
        let page = "| word | means |\n|---|---|\n| farm | hosts |\n\n| other |\n|---|\n| x |\n";
        let no_column = (1, Fault::NoColumn { title: COLUMN });
        assert_eq!(missing(Path::new(PAGE), page), [no_column]);
        assert_eq!(missing(Path::new("README.md"), page), []);
    }

    #[test]
    fn the_origins_are_sorted() {
        assert!(ORIGINS.is_sorted());
    }
}
