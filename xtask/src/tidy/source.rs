//! Rules about a single file.

use super::fault::{Fault, LINES_MAX, UNSAFE, UNSAFE_FILE};
use super::lexer::{Token, is_part_of_word, tokens};
use std::path::Path;

/// Names of files that collect what has no name of its own.
const HOMELESS: [&str; 6] =
    ["utils.rs", "util.rs", "helpers.rs", "common.rs", "manager.rs", "handler.rs"];
/// Notes to oneself, which are work to do now or a page to write.
pub(super) const NOTES: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("dbg", "!")];

/// Too long, or without a name worth it.
pub(super) fn shape(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        found.push((0, Fault::Long { lines }));
    }
    if path.file_name().is_some_and(|name| HOMELESS.iter().any(|homeless| name == *homeless)) {
        found.push((0, Fault::Homeless));
    }
    found
}

/// Code that goes behind the compiler's back, where there may be none.
pub(super) fn unguarded(path: &Path, text: &str) -> Vec<(usize, Fault)> {
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

/// Notes to oneself.
pub(super) fn notes(text: &str) -> Vec<(usize, Fault)> {
    let note_in = |line: &str| NOTES.into_iter().find(|word| has_word(line, word));
    let lines = text.lines().zip(1..);
    lines
        .filter_map(|(line, number)| Some((number, Fault::Note { word: note_in(line)? })))
        .collect()
}

/// A manifest of a package that goes its own way with lints.
pub(super) fn lints(path: &Path, text: &str) -> Option<(usize, Fault)> {
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
    fn one_file_alone_goes_behind_the_compilers_back() {
        let text = format!("fine\n  {UNSAFE} {{ f() }}\n// {UNSAFE}\n#[expect({UNSAFE}_code)]\n");
        assert_eq!(unguarded(Path::new("src/a.rs"), &text), [(2, Fault::Unsafe)]);
        assert_eq!(unguarded(Path::new(UNSAFE_FILE), &text), []);
    }

    #[test]
    fn every_package_takes_the_lints_of_the_workspace() {
        let manifest = Path::new("crates/x/Cargo.toml");
        assert!(lints(manifest, "[package]\nname = \"x\"\n").is_some());
        assert!(lints(manifest, "[package]\n\n[lints]\nworkspace = true\n").is_none());
        assert!(lints(manifest, "[workspace]\n").is_none());
    }

    #[test]
    fn shape_is_size_and_name() {
        let longest = "\n".repeat(LINES_MAX);
        assert_eq!(shape(Path::new("a.rs"), &longest), []);
        assert_eq!(shape(Path::new("a.rs"), &format!("{longest}x")).len(), 1);
        assert_eq!(shape(Path::new("src/helpers.rs"), ""), [(0, Fault::Homeless)]);
    }
}
