//! Maps the znodes of a subtree to files.
//!
//! **Invariant.** No file lies below another, and every component of a path is a plain file name,
//! so all files lie inside the directory.

use crate::codec::dir::{DEPTH_MAX, Refusal, check_name};
use crate::session::ZnodePath;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The files of a subtree, by their paths below its top.
pub type Leaves = BTreeMap<String, Arc<[u8]>>;

/// The files of a subtree, and the znodes that become none.
#[derive(Debug, Default)]
pub struct Layout {
    /// The files.
    pub leaves: Leaves,
    /// Znodes whose names can't be file names; everything below them is left out too.
    pub refused: BTreeMap<ZnodePath, Refusal>,
    /// The first znode that has both children and bytes.
    pub bytes_ignored: Option<ZnodePath>,
}

/// A znode with children becomes a directory, any other one a file.
#[must_use]
pub fn lay_out(top: &ZnodePath, nodes: &BTreeMap<&ZnodePath, &Arc<[u8]>>) -> Layout {
    let prefix = if top.is_root() { 0 } else { top.as_str().len() };
    let below = |path: &'_ ZnodePath| -> String {
        path.as_str().get(prefix + 1..).unwrap_or_default().to_owned()
    };
    let mut folders = HashSet::new();
    for path in nodes.keys() {
        let mut above = path.as_str();
        while let Some((parent, _)) = above.rsplit_once('/') {
            // The parents of a known directory are known too.
            if parent.len() <= prefix || !folders.insert(parent) {
                break;
            }
            above = parent;
        }
    }
    let mut layout = Layout::default();
    for (path, bytes) in nodes {
        let relative = below(path);
        if let Some((length, why)) = refusal(&relative) {
            if let Ok(refused) = ZnodePath::parse(&path.as_str()[..prefix + 1 + length]) {
                layout.refused.insert(refused, why);
            }
        } else if !folders.contains(path.as_str()) {
            layout.leaves.insert(relative, Arc::clone(bytes));
        } else if layout.bytes_ignored.is_none() && !bytes.is_empty() {
            layout.bytes_ignored = Some((*path).clone());
        }
    }
    layout
}

/// Why a path can't be that of a file, and the length of its prefix up to the bad name.
fn refusal(relative: &str) -> Option<(usize, Refusal)> {
    let mut length = 0;
    for (depth, name) in relative.split('/').enumerate() {
        length += name.len() + usize::from(depth > 0);
        let verdict = if depth >= DEPTH_MAX { Err(Refusal::Deep) } else { check_name(name) };
        if let Err(why) = verdict {
            return Some((length, why));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(top: &str, nodes: &[(&str, &str)]) -> (Vec<String>, Vec<String>, Option<String>) {
        let path = |path: &str| ZnodePath::parse(path).unwrap();
        let nodes: Vec<(ZnodePath, Arc<[u8]>)> =
            nodes.iter().map(|(at, bytes)| (path(at), bytes.as_bytes().into())).collect();
        let layout = lay_out(&path(top), &nodes.iter().map(|(at, bytes)| (at, bytes)).collect());
        let leaf = |(path, bytes): (String, Arc<[u8]>)| {
            format!("{path}={}", String::from_utf8_lossy(&bytes))
        };
        (
            layout.leaves.into_iter().map(leaf).collect(),
            layout.refused.into_iter().map(|(path, why)| format!("{path}: {why:?}")).collect(),
            layout.bytes_ignored.map(|path| path.to_string()),
        )
    }

    #[test]
    fn leaves_are_files_and_the_bytes_of_the_others_are_overlooked() {
        let nodes =
            [("/t/a", "own"), ("/t/a/b", "1"), ("/t/a-b", "2"), ("/t/c", ""), ("/t/d/e/f", "3")];
        let (leaves, refused, bytes_ignored) = laid_out("/t", &nodes);
        assert_eq!(leaves, ["a-b=2", "a/b=1", "c=", "d/e/f=3"]);
        assert_eq!((refused, bytes_ignored.as_deref()), (vec![], Some("/t/a")));
        let (leaves, _, _) = laid_out("/", &[("/x", "1"), ("/y/z", "2"), ("/y", "")]);
        assert_eq!(leaves, ["x=1", "y/z=2"]);
    }

    #[test]
    fn a_file_never_lies_below_a_file() {
        // The znode in between has not been read yet.
        let (leaves, _, _) = laid_out("/t", &[("/t/a", "x"), ("/t/a/b/c", "y")]);
        assert_eq!(leaves, ["a/b/c=y"]);
    }

    #[test]
    fn names_that_are_none_are_refused_one_by_one_and_the_rest_is_there() {
        let long = format!("/t/{}", "n".repeat(256));
        let deep = format!("/t{}", "/d".repeat(65));
        let nodes = [
            ("/t/.hidden", "1"),
            ("/t/.hidden/below", "2"),
            ("/t/...", "3"),
            ("/t/ok/.zkexec", "4"),
            ("/t/ok/fine", "5"),
            (long.as_str(), "6"),
            (deep.as_str(), "7"),
        ];
        let (leaves, refused, _) = laid_out("/t", &nodes);
        assert_eq!(leaves, ["ok/fine=5"]);
        let expected = [
            "/t/...: Dot".to_owned(),
            "/t/.hidden: Dot".to_owned(),
            format!("{deep}: Deep"),
            format!("{long}: Long"),
            "/t/ok/.zkexec: Dot".to_owned(),
        ];
        assert_eq!(refused, expected);
    }
}
