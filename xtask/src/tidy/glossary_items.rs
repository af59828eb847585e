//! The items that the glossary names exist in the sources.

use super::fault::Fault;
use super::table::{code_spans, tables};
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/glossary.md";
/// The column with the names of items.
const COLUMN: &str = "in the code";
const KEYWORDS: [&str; 8] =
    ["struct ", "enum ", "fn ", "trait ", "type ", "mod ", "const ", "static "];

/// The names in the glossary that no item in the sources has.
pub(super) fn unknown(path: &Path, text: &str, texts: &[(PathBuf, String)]) -> Vec<(usize, Fault)> {
    if path != Path::new(PAGE) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for table in tables(text) {
        let Some(column) = table.column(COLUMN) else { continue };
        for row in &table.rows {
            for name in code_spans(row.cell(column)) {
                if !is_of_command_line(name)
                    && !name.split("::").all(|part| is_defined(part, texts))
                {
                    found.push((row.line, Fault::NoSuchItem { name: name.to_owned() }));
                }
            }
        }
    }
    found
}

/// Whether a name is part of a command line, such as FARM or --name, and not an item.
fn is_of_command_line(name: &str) -> bool {
    name.starts_with("--") || !name.contains(|c: char| c.is_ascii_lowercase())
}

fn is_defined(name: &str, texts: &[(PathBuf, String)]) -> bool {
    let is_crate = || {
        let dir = Path::new("crates").join(name.replace('_', "-"));
        texts.iter().any(|(path, _)| path.starts_with(&dir))
    };
    let is_rust = |path: &Path| {
        path.extension().is_some_and(|extension| extension == "rs") && path.starts_with("crates")
    };
    is_crate() || texts.iter().any(|(path, text)| is_rust(path) && defines(text, name))
}

fn defines(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(start, _)| {
        let (before, after) = (&text[..start], &text[start + name.len()..]);
        let ends = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        // A variant is alone on its line, with its fields.
        let is_variant = || {
            let is_name = name.starts_with(|c: char| c.is_ascii_uppercase());
            let is_alone =
                after.starts_with(',') || after.starts_with(" {\n") || after.starts_with('(');
            is_name && !line.is_empty() && line.trim().is_empty() && is_alone
        };
        ends && (KEYWORDS.iter().any(|keyword| line.ends_with(keyword)) || is_variant())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_is_searched() {
        let source = "pub mod health {\n    pub enum Verdict {\n        Fine,\n        Bad(u8),\n    }\n\
            pub const fn judge() {}\n}\n// Ghost,\n";
        let texts = vec![(PathBuf::from("crates/zk-x/src/lib.rs"), source.to_owned())];
        let head = "| word | means | in the code |\n|---|---|---|\n";
        let row = |name: &str| format!("{head}| word | means | {name} |\n");
        let told = |name: &str| unknown(Path::new(PAGE), &row(name), &texts).len();
        for name in [
            "`Verdict`",
            "`health::Verdict`",
            "`Verdict::Bad`",
            "`judge`, `FARM`",
            "`zk_x`",
            "`--name`",
        ] {
            assert_eq!(told(name), 0, "{name}");
        }
        for name in
            ["`Ghost`", "`Verdict::Ghost`", "`Verd`", "`gone::Verdict`", "`judge`, `judges`"]
        {
            assert_eq!(told(name), 1, "{name}");
        }
        assert_eq!(unknown(Path::new("README.md"), &row("`Ghost`"), &texts), []);
    }
}
