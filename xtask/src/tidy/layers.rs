//! The layers of farm-core import only lower layers.

use super::fault::Fault;
use super::modules::module_of;
use super::syntax::outline;
use std::path::Path;

const CORE: &str = "crates/farm-core/src";

/// Each layer, and the layers that it may import. There are no other layers.
const LAYERS: [(&str, &[&str]); 9] = [
    ("model", &[]),
    ("engine", &[]),
    ("codec", &["model", "engine"]),
    ("host", &[]),
    ("files", &["model", "codec", "engine", "host"]),
    ("process", &["engine"]),
    ("session", &["engine", "host"]),
    ("farm", &["model", "codec", "engine", "host", "session"]),
    ("cli", &["model", "codec", "engine", "host", "files", "process", "session", "farm"]),
];

/// The imports of a file of farm-core that its layer must not have.
pub(super) fn upward_imports(path: &Path, text: &str) -> Vec<(usize, Fault)> {
    let Ok(inside) = path.strip_prefix(CORE) else { return Vec::new() };
    let parts: Vec<_> = inside.iter().filter_map(|part| part.to_str()).collect();
    let [first, ..] = parts.as_slice() else { return Vec::new() };
    let layer = first.trim_end_matches(".rs");
    if layer == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![(0, Fault::UnknownLayer { name: layer.to_owned() })];
    };
    let module = module_of(inside).unwrap_or_default();
    let outline = outline(text);
    let imports = outline.imports.iter().map(|import| (&import.place, &import.path));
    let mentions = outline.mentions.iter().map(|mention| (&mention.place, &mention.path));
    let mut found = Vec::new();
    for (place, path) in imports.chain(mentions) {
        let Some(name) = top_module(&[&module[..], &place.scope].concat(), path) else { continue };
        let is_layer = LAYERS.iter().any(|(layer, _)| *layer == name);
        if is_layer && name != layer && !allowed.contains(&name) {
            let fault = Fault::UpwardImport { from: layer.to_owned(), to: name.to_owned() };
            found.push((place.line, fault));
        }
    }
    found.sort_by_key(|(line, _)| *line);
    found
}

/// The top-level module of the crate that a path goes through, if it starts at the crate's root.
fn top_module<'a>(module: &[&str], path: &[&'a str]) -> Option<&'a str> {
    let steps = path.iter().take_while(|name| **name == "super").count();
    let start = match *path.first()? {
        "crate" => 1,
        "super" if steps >= module.len() => steps,
        _ => return None,
    };
    path.get(start).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<(usize, String)> {
        let found = upward_imports(&Path::new(CORE).join(path), text);
        found
            .into_iter()
            .map(|(line, fault)| match fault {
                Fault::UpwardImport { to, .. } => (line, to),
                other => (line, format!("{other:?}")),
            })
            .collect()
    }

    #[test]
    fn imports_only_go_down() {
        assert_eq!(faults("farm/view.rs", "use crate::session::Client;\n"), []);
        assert_eq!(faults("cli/mod.rs", "use crate::{farm, host, session, model};\n"), []);
        let up = "use std::fmt;\nuse crate::farm::FarmView;\n";
        assert_eq!(faults("session/link.rs", up), [(2, "farm".to_owned())]);
        let strangers = faults("files/store.rs", "fn f() { crate::farm::f() }\n");
        assert_eq!(strangers, [(1, "farm".to_owned())]);
    }

    #[test]
    fn groups_are_searched() {
        let text = "use crate::{\n    codec::{json, cli},\n    model::Record,\n    session,\n};\n";
        assert_eq!(faults("codec/json.rs", text), [(4, "session".to_owned())]);
        assert_eq!(faults("model/a.rs", "use crate::{codec::x};"), [(1, "codec".to_owned())]);
    }

    #[test]
    fn super_may_reach_the_root() {
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
    fn a_new_layer_has_to_be_added_to_the_table() {
        let told = faults("spare/mod.rs", "");
        assert!(told[0].1.contains("UnknownLayer"), "{told:?}");
        assert_eq!(faults("lib.rs", "pub use crate::cli::X;"), []);
        assert_eq!(upward_imports(Path::new("crates/zkctl/src/lib.rs"), "use crate::cli;"), []);
    }
}
