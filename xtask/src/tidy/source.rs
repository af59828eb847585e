//! Rules about a single file.

use super::fault::{Fault, LINES_MAX, UNSAFE, UNSAFE_FILE};
use super::lexer::{Token, is_part_of_word, tokens};
use std::path::Path;

/// File names that say nothing about the content.
const VAGUE_NAMES: [&str; 6] =
    ["utils.rs", "util.rs", "helpers.rs", "common.rs", "manager.rs", "handler.rs"];
/// Marks of unfinished work, and of debugging.
pub(super) const NOTES: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("dbg", "!")];

/// Checks the length and the name of a file.
pub(super) fn size_and_name(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        found.push((0, Fault::Long { lines }));
    }
    if path.file_name().is_some_and(|name| VAGUE_NAMES.iter().any(|vague| name == *vague)) {
        found.push((0, Fault::VagueName));
    }
    found
}

/// Unsafe code in files that must not have any.
pub(super) fn unsafe_code(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    if path == Path::new(UNSAFE_FILE) {
        return Vec::new();
    }
    let mut lines: Vec<_> = tokens(text)
        .into_iter()
        .filter(|(_, token)| *token == Token::Word(UNSAFE))
        .map(|(line, _)| line)
        .collect();
    lines.dedup();
    lines.into_iter().map(|line| (line, Fault::Unsafe)).collect()
}

/// Marks of unfinished work.
pub(super) fn notes(text: &str) -> Vec<(usize, Fault)> {
    let note_in = |line: &str| NOTES.into_iter().find(|word| has_word(line, word));
    let lines = text.lines().zip(1..);
    lines
        .filter_map(|(line, number)| Some((number, Fault::Note { word: note_in(line)? })))
        .collect()
}

/// A manifest of a package that does not use the lints of the workspace.
pub(super) fn missing_lints(path: &Path, text: &str) -> Option<(usize, Fault)> {
    let is_package = path.ends_with("Cargo.toml") && text.lines().any(|line| line == "[package]");
    let has_lints = text.contains("\n[lints]\nworkspace = true\n");
    (is_package && !has_lints).then_some((0, Fault::NoLints))
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part_of_word) && !after.is_some_and(is_part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_whole_words() {
        let [word, .., last] = NOTES;
        let text = format!("fine\n// {word}: later\n{word}S are not\n  {last}(x)\n");
        let lines: Vec<_> = notes(&text).into_iter().map(|(line, _)| line).collect();
        assert_eq!(lines, [2, 4]);
    }

    #[test]
    fn only_one_file_may_have_unsafe_code() {
        let text = format!("fine\n  {UNSAFE} {{ f() }}\n// {UNSAFE}\n#[expect({UNSAFE}_code)]\n");
        assert_eq!(unsafe_code(Path::new("src/a.rs"), &text), [(2, Fault::Unsafe)]);
        assert_eq!(unsafe_code(Path::new(UNSAFE_FILE), &text), []);
    }

    #[test]
    fn every_package_uses_the_lints_of_the_workspace() {
        let manifest = Path::new("crates/x/Cargo.toml");
        assert!(missing_lints(manifest, "[package]\nname = \"x\"\n").is_some());
        assert!(missing_lints(manifest, "[package]\n\n[lints]\nworkspace = true\n").is_none());
        assert!(missing_lints(manifest, "[workspace]\n").is_none());
    }

    #[test]
    fn files_have_a_size_limit_and_a_name() {
        let longest = "\n".repeat(LINES_MAX);
        assert_eq!(size_and_name(Path::new("a.rs"), &longest), []);
        assert_eq!(size_and_name(Path::new("a.rs"), &format!("{longest}x")).len(), 1);
        assert_eq!(size_and_name(Path::new("src/helpers.rs"), ""), [(0, Fault::VagueName)]);
    }
}
