//! The links and the paths in documents lead to files that exist.

use super::fault::Fault;
use super::table::code_spans;
use std::path::Path;

/// Code that starts with one of these is a path from the root.
const TOP_DIRS: [&str; 4] = ["crates/", "docs/", "tests/", "xtask/"];

/// The relative links and the paths of a document that lead to nothing.
pub(super) fn dead_links(root: &Path, path: &Path, text: &str) -> Vec<(usize, Fault)> {
    let dir = root.join(path.parent().unwrap_or(Path::new("")));
    let mut found = Vec::new();
    let mut is_code = false;
    for (line, number) in text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            let is_elsewhere =
                file.is_empty() || target.contains("://") || file.starts_with("mailto:");
            if !is_elsewhere && !dir.join(file).exists() {
                found.push((number, Fault::DeadLink { target: target.to_owned() }));
            }
        }
        let missing = named_paths(line).filter(|named| !root.join(named).exists());
        found.extend(missing.map(|named| (number, Fault::DeadLink { target: named.to_owned() })));
    }
    found
}

/// The paths from the root that a line names between backticks.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |code: &&str| TOP_DIRS.iter().any(|dir| code.starts_with(dir));
    // A pattern stands for many paths, and code with a blank is a command.
    let is_one = |code: &&str| !code.contains(['*', '<', '{', ' ']);
    code_spans(line).filter(is_path).filter(is_one)
}

/// The targets of the links of a line: `[text](target)` and `[name]: target`.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    // Every second piece is code between backticks.
    for prose in line.split('`').step_by(2) {
        for (start, _) in prose.match_indices("](") {
            let rest = &prose[start + 2..];
            let end = rest.find([')', ' ']).unwrap_or(rest.len());
            found.push(&rest[..end]);
        }
    }
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
    {
        found.extend(target.split_whitespace().next());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;

    #[test]
    fn links_are_relative_to_their_document() {
        let root = Scratch::new();
        root.write("docs/there.md", "");
        root.write("README.md", "");
        let text = "[a](there.md#part) [up](../README.md \"title\") [dir](.)\n\
            [web](https://example.org/x) [here](#part) `[code](gone.md)`\n\
            ```\n[fenced](gone.md)\n```\n\
            [`name`](gone.md) and [b](also/gone.md#x)\n[c]: lost.md\n";
        let found = dead_links(root.path(), Path::new("docs/page.md"), text);
        let dead = |line, target: &str| (line, Fault::DeadLink { target: target.to_owned() });
        let expected = [dead(6, "gone.md"), dead(6, "also/gone.md#x"), dead(7, "lost.md")];
        assert_eq!(found, expected);
    }

    #[test]
    fn paths_are_relative_to_the_root() {
        let root = Scratch::new();
        root.write("docs/there.md", "");
        root.write("crates/x/src/lib.rs", "");
        let text = "| `crates/x/src/lib.rs` | `docs/` | `crates/x/src/gone.rs` |\n\
            `docs/<name>.md`, `crates/*/tests`, `xtask/run it`, crates/plain.rs\n";
        let found = dead_links(root.path(), Path::new("docs/there.md"), text);
        let target = "crates/x/src/gone.rs".to_owned();
        assert_eq!(found, [(1, Fault::DeadLink { target })]);
    }
}
