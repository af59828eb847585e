//! Imports in farm-core only go down.

use super::Fault;
use std::path::Path;

const CORE: &str = "crates/farm-core/src";

/// Each layer, and what it may know. What is not here may not be there.
const LAYERS: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("engine", &[]),
    ("codec", &["model"]),
    ("host", &[]),
    ("files", &["model", "codec", "engine"]),
    ("process", &["engine"]),
    ("session", &["engine"]),
    ("farm", &["model", "codec", "engine", "host", "session"]),
    ("cli", &["model", "codec", "engine", "host", "files", "process", "session", "farm"]),
];

/// The imports of a file of farm-core that its layer must not have.
pub(super) fn upward(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    let Ok(inside) = path.strip_prefix(CORE) else { return Vec::new() };
    let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
    let [first, rest @ ..] = parts.as_slice() else { return Vec::new() };
    let layer = first.trim_end_matches(".rs");
    if layer == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![(0, Fault::UnknownLayer { name: layer.to_owned() })];
    };
    // `super` from `session/mod.rs` is the crate, from `session/link.rs` it is `session`.
    let depth = 1 + rest.iter().filter(|part| **part != "mod.rs").count();
    let code = without_comments(text);
    let mut found = Vec::new();
    for (offset, name) in references(&code, depth) {
        let is_layer = LAYERS.iter().any(|(layer, _)| *layer == name);
        if is_layer && name != layer && !allowed.contains(&name) {
            let line = 1 + code[..offset].matches('\n').count();
            found.push((line, Fault::Upward { from: layer.to_owned(), to: name.to_owned() }));
        }
    }
    found
}

/// Comments may speak of any layer, and link to it.
fn without_comments(text: &str) -> String {
    let code_of =
        |line: &str| if line.trim_start().starts_with("//") { "" } else { line }.to_owned();
    text.lines().map(code_of).collect::<Vec<_>>().join("\n")
}

/// The names that are taken from the top of the crate, and where.
fn references(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        let is_whole = !code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_whole {
            found.extend(heads(code, start + "crate::".len()));
        }
    }
    for (start, _) in code.match_indices("super::") {
        let is_first = !code[..start].ends_with("super::");
        let mut end = start;
        let mut steps = 0;
        while code[end..].starts_with("super::") {
            end += "super::".len();
            steps += 1;
        }
        // An inner module is one step further down.
        if is_first && steps >= depth {
            found.extend(heads(code, end));
        }
    }
    found.sort_unstable();
    found
}

/// The first names of a path that goes on at `start`: one, or several in braces.
fn heads(code: &str, start: usize) -> Vec<(usize, &str)> {
    let rest = &code[start..];
    if !rest.starts_with('{') {
        return vec![(start, ident(rest))];
    }
    let mut found = Vec::new();
    let mut nesting = 0_usize;
    let mut is_expected = false;
    for (offset, c) in rest.char_indices() {
        match c {
            '{' => nesting += 1,
            '}' => nesting = nesting.saturating_sub(1),
            _ if c.is_whitespace() => continue,
            _ if is_expected => found.push((start + offset, ident(&rest[offset..]))),
            _ => {}
        }
        if nesting == 0 {
            break;
        }
        is_expected = nesting == 1 && matches!(c, '{' | ',');
    }
    found
}

fn ident(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<(usize, String)> {
        let found = upward(&Path::new(CORE).join(path), text);
        found
            .into_iter()
            .map(|(line, fault)| match fault {
                Fault::Upward { to, .. } => (line, to),
                other => (line, format!("{other:?}")),
            })
            .collect()
    }

    #[test]
    fn imports_go_down_only() {
        assert_eq!(faults("farm/roster.rs", "use crate::session::Client;\n"), []);
        assert_eq!(faults("cli/mod.rs", "use crate::{farm, host, session, model};\n"), []);
        let up = "use std::fmt;\nuse crate::farm::FarmView;\n";
        assert_eq!(faults("session/link.rs", up), [(2, "farm".to_owned())]);
        let strangers = faults("files/store.rs", "fn f() { crate::farm::f() }\n");
        assert_eq!(strangers, [(1, "farm".to_owned())]);
    }

    #[test]
    fn groups_are_looked_into() {
        let text = "use crate::{\n    codec::{json, cli},\n    model::Record,\n    session,\n};\n";
        assert_eq!(faults("codec/json.rs", text), [(4, "session".to_owned())]);
        assert_eq!(faults("model/a.rs", "use crate::{codec::x};"), [(1, "codec".to_owned())]);
    }

    #[test]
    fn super_reaches_the_crate_as_well() {
        assert_eq!(faults("model/mod.rs", "use super::farm::X;"), [(1, "farm".to_owned())]);
        assert_eq!(faults("model/a.rs", "use super::super::farm;"), [(1, "farm".to_owned())]);
        assert_eq!(faults("model/a.rs", "use super::farm::Farm;"), []);
        assert_eq!(faults("model/a/b.rs", "use super::super::farm::Farm;"), []);
    }

    #[test]
    fn comments_may_name_any_layer() {
        assert_eq!(faults("model/a.rs", "//! [`crate::cli`]\n    // crate::farm\n"), []);
        assert_eq!(faults("model/a.rs", "use other_crate::farm;\n"), []);
    }

    #[test]
    fn a_new_layer_has_to_be_entered() {
        let told = faults("spare/mod.rs", "");
        assert!(told[0].1.contains("UnknownLayer"), "{told:?}");
        assert_eq!(faults("lib.rs", "pub use crate::cli::X;"), []);
        assert_eq!(upward(Path::new("crates/zkctl/src/lib.rs"), "use crate::cli;"), []);
    }
}
