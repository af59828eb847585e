//! Which names decide what a path leads to.
//!
//! **Invariant.** A change of what the path leads to is a change of one of the
//! names of its trail, in a directory that was there when the trail was taken.

use crate::files::file::LINKS_MAX;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// The names to watch, by their directory, and where the path leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PathComponents {
    pub(super) names: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// The end of the path, without links; `None` if a directory on the way is missing.
    pub(super) end: Option<PathBuf>,
}

/// Follows a path: every link on the way, and the last name (or the first one
/// that is missing), is one to watch.
pub(super) fn trail(path: &Path) -> PathComponents {
    let mut trail = PathComponents::default();
    let Ok(path) = std::path::absolute(path) else { return trail };
    let mut at = PathBuf::from("/");
    let mut left = parts(&path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        let name = match part {
            Part::Up => {
                at.pop();
                continue;
            }
            Part::Root => {
                at = PathBuf::from("/");
                continue;
            }
            Part::Name(name) => name,
        };
        let next = at.join(&name);
        let is_last = left.is_empty();
        match std::fs::read_link(&next) {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                trail.note(&at, name);
                left.extend(parts(&target));
            }
            Ok(_) | Err(_) if is_last => {
                trail.note(&at, name);
                trail.end = Some(next);
            }
            Ok(_) => return trail,
            Err(_) if next.is_dir() => at = next,
            Err(_) => {
                trail.note(&at, name);
                return trail;
            }
        }
    }
    trail
}

enum Part {
    Root,
    Up,
    Name(OsString),
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<Part> {
    let part = |component| match component {
        Component::RootDir => Some(Part::Root),
        Component::ParentDir => Some(Part::Up),
        Component::Normal(name) => Some(Part::Name(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(part).collect()
}

impl PathComponents {
    fn note(&mut self, folder: &Path, name: OsString) {
        self.names.entry(folder.to_owned()).or_default().insert(name);
    }

    /// Whether a path is one of the names, or one of their directories.
    pub(super) fn has(&self, path: &Path) -> bool {
        let is_name = |folder: &Path, name: &OsStr| {
            self.names.get(folder).is_some_and(|names| names.contains(name))
        };
        self.names.contains_key(path)
            || path
                .parent()
                .zip(path.file_name())
                .is_some_and(|(folder, name)| is_name(folder, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;
    use std::os::unix::fs::symlink;

    fn noted(trail: &PathComponents) -> Vec<PathBuf> {
        let names = |(folder, names): (&PathBuf, &BTreeSet<OsString>)| -> Vec<PathBuf> {
            names.iter().map(|name| folder.join(name)).collect()
        };
        trail.names.iter().flat_map(names).collect()
    }

    #[test]
    fn links_files_and_the_first_missing_name_are_noted() {
        let scratch = Scratch::new();
        let top = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("v1/deep")).unwrap();
        scratch.write("v1/conf", "x");
        symlink("v1", top.join("data")).unwrap();
        symlink("data/conf", top.join("conf")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        symlink("../v1/none", top.join("v1/dangling")).unwrap();
        // path, noted, end
        let cases: [(&str, &[&str], Option<&str>); 6] = [
            ("v1/conf", &["v1/conf"], Some("v1/conf")),
            ("v1/new", &["v1/new"], Some("v1/new")),
            ("conf", &["conf", "data", "v1/conf"], Some("v1/conf")),
            ("v1/deep/../../data/./dangling", &["data", "v1/dangling", "v1/none"], Some("v1/none")),
            ("gone/deeper/conf", &["gone"], None),
            ("v1/deep", &["v1/deep"], Some("v1/deep")),
        ];
        for (path, wanted, end) in cases {
            let trail = trail(&top.join(path));
            let wanted: Vec<PathBuf> = wanted.iter().map(|name| top.join(name)).collect();
            assert_eq!(noted(&trail), wanted, "{path}");
            assert_eq!(trail.end, end.map(|end| top.join(end)), "{path}");
            assert!(trail.has(&wanted[0]) && trail.has(wanted[0].parent().unwrap()));
            assert!(!trail.has(&top.join("other")));
        }
        assert_eq!(noted(&trail(&top.join("loop/x"))), [top.join("loop")]);
    }
}
