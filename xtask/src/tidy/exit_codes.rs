//! Every exit code that a page or a help text mentions is in the table.

use super::fault::{EXIT_CODES_PAGE, Fault};
use std::path::{Path, PathBuf};

/// The phrases before an exit code.
const PHRASES: [&str; 8] = [
    "exit code ",
    "exit codes ",
    "exit with ",
    "exits with ",
    "ends with ",
    "end with ",
    "then exit ",
    "end it with ",
];
/// The phrases before a list of exit codes with their meanings.
const LISTS: [&str; 2] = ["**Exit codes.**", "Exit codes:"];

/// The exit codes of a text that are not in the table.
pub(super) fn unknown(path: &Path, text: &str, texts: &[(PathBuf, String)]) -> Vec<(usize, Fault)> {
    let Some((_, page)) = texts.iter().find(|(path, _)| path == Path::new(EXIT_CODES_PAGE)) else {
        return Vec::new();
    };
    let is_page = path.extension().is_some_and(|end| end == "md");
    let is_source = path.starts_with("crates") && path.iter().any(|part| part == "src");
    if !is_page && !is_source {
        return Vec::new();
    }
    let known: Vec<u32> = page.lines().filter_map(row).collect();
    let mut found = Vec::new();
    for (at, code) in mentions(text) {
        if !known.contains(&code) {
            found.push((1 + text[..at].matches('\n').count(), Fault::NoSuchCode { code }));
        }
    }
    found
}

fn row(line: &str) -> Option<u32> {
    line.strip_prefix('|')?.split('|').next()?.trim().parse().ok()
}

/// The exit codes that a text mentions, and their positions.
fn mentions(text: &str) -> Vec<(usize, u32)> {
    let mut found = Vec::new();
    for phrase in PHRASES {
        for (start, _) in text.match_indices(phrase) {
            let at = start + phrase.len();
            found.extend(number(&text[at..]).map(|code| (at, code)));
        }
    }
    for list in LISTS {
        for (start, _) in text.match_indices(list) {
            let paragraph = &text[start + list.len()..];
            let paragraph = &paragraph[..paragraph.find("\n\n").unwrap_or(paragraph.len())];
            // The list ends with the first full stop.
            let items = &paragraph[..paragraph.find(". ").unwrap_or(paragraph.len())];
            let mut at = start + list.len();
            for item in items.split_inclusive(',') {
                let blank = item.len() - item.trim_start().len();
                found.extend(number(&item[blank..]).map(|code| (at + blank, code)));
                at += item.len();
            }
        }
    }
    found
}

/// The whole number that a text starts with.
fn number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let is_whole = !text[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
    text[..end].parse().ok().filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_where_they_are_mentioned() {
        let page = "| code | name |\n|---|---|\n| 0 | `Done` |\n| 2 | `Usage` |\n";
        let texts = vec![(PathBuf::from(EXIT_CODES_PAGE), page.to_owned())];
        let text = "It ends with 0.\nElse with exit code 3, and\n\n**Exit codes.** 0 done, 7 or so,\n\
            2 usage. It has 9 lives, 8 left\n\nends with 4a, ends with the end\n";
        let told = |path: &str| -> Vec<(usize, u32)> {
            let found = unknown(Path::new(path), text, &texts).into_iter();
            found
                .map(|(line, fault)| match fault {
                    Fault::NoSuchCode { code } => (line, code),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(told("crates/x/README.md"), [(2, 3), (4, 7)]);
        assert_eq!(told("crates/x/src/lib.rs"), [(2, 3), (4, 7)]);
        assert_eq!(told("tests/e2e/tests/ctl.rs"), []);
    }
}
