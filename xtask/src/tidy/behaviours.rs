//! The architecture page has one row for each behaviour.

use super::fault::Fault;
use super::table::{code_spans, tables};
use std::collections::BTreeMap;
use std::path::Path;

const PAGE: &str = "docs/architecture.md";
const HEADING: &str = "Behaviour and file";
const ARTICLES: [&str; 3] = ["the ", "a ", "an "];

/// The rows that start with the same phrase as an earlier one, or name the same files.
pub(super) fn repeated(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    if path != Path::new(PAGE) {
        return Vec::new();
    }
    let mut phrases = BTreeMap::new();
    let mut files = BTreeMap::new();
    let mut found = Vec::new();
    for row in tables(text).iter().filter(|table| table.heading == HEADING).flat_map(|t| &t.rows) {
        let mut named: Vec<_> = code_spans(row.cell(1)).collect();
        // A row without files is the title of a group of rows.
        if named.is_empty() {
            continue;
        }
        let phrase = phrase(row.cell(0));
        if let Some(first) = phrases.get(&phrase) {
            found.push((row.line, Fault::SameBehaviour { phrase, first: *first }));
        } else {
            phrases.insert(phrase, row.line);
        }
        named.sort_unstable();
        let first = *files.entry(named).or_insert(row.line);
        if first != row.line {
            found.push((row.line, Fault::SameFiles { first }));
        }
    }
    found
}

/// The start of a behaviour, up to the first comma, colon or semicolon.
fn phrase(behaviour: &str) -> String {
    let phrase = behaviour.split([',', ':', ';']).next().unwrap_or_default();
    let phrase = phrase.trim().to_lowercase();
    let article = ARTICLES.iter().find_map(|article| phrase.strip_prefix(article));
    article.map_or_else(|| phrase.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_and_lists_of_files_are_not_repeated() {
        let page = "## Layers\n| x | `a.rs` |\n|---|---|\n| x | `a.rs` |\n\n## Behaviour and file\n\n\
            | behaviour | file |\n|---|---|\n| **one** | |\n| the child: how it starts | `a.rs` |\n\
            | the children | `b.rs`, `c.rs` |\n| **one** | |\n| Child, and how it ends | `b.rs` |\n\
            | a name | `c.rs`, `b.rs` |\n| an end; its time | `a.rs` |\n";
        let behaviour = Fault::SameBehaviour { phrase: "child".to_owned(), first: 11 };
        let expected = [
            (14, behaviour),
            (15, Fault::SameFiles { first: 12 }),
            (16, Fault::SameFiles { first: 11 }),
        ];
        assert_eq!(repeated(Path::new(PAGE), page), expected);
        assert_eq!(repeated(Path::new("README.md"), page), []);
    }
}
