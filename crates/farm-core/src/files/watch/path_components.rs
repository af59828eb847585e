//! The names that decide what a path leads to.
//!
//! **Invariant.** If the path leads elsewhere, one of its components has changed, in a
//! directory that existed when the components were read, or a directory above them was
//! renamed or mounted over.

use crate::host::resolve::{Trace, trace};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The names to watch, by directory, and the end of the path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PathComponents {
    pub(super) names: BTreeMap<PathBuf, BTreeSet<OsString>>,
    /// The end of the path, without links; `None` if a directory on the way is missing, or a
    /// link is not followed.
    pub(super) end: Option<PathBuf>,
}

impl PathComponents {
    /// Follows a path: every link on the way must be watched, and the last name, or the
    /// first one that is missing.
    pub(super) fn of(path: &Path) -> Self {
        let mut components = Self::default();
        let Ok(path) = std::path::absolute(path) else { return components };
        let Trace { names, end } = trace(&path);
        for (folder, name) in names {
            components.add(&folder, name);
        }
        components.end = end.ok().and_then(|end| Some(end.path.join(end.name?)));
        components
    }

    fn add(&mut self, folder: &Path, name: OsString) {
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

    fn paths(components: &PathComponents) -> Vec<PathBuf> {
        let names = |(folder, names): (&PathBuf, &BTreeSet<OsString>)| -> Vec<PathBuf> {
            names.iter().map(|name| folder.join(name)).collect()
        };
        components.names.iter().flat_map(names).collect()
    }

    #[test]
    fn links_files_and_the_first_missing_name_are_components() {
        let scratch = Scratch::new();
        let top = scratch.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("v1/deep")).unwrap();
        scratch.write("v1/conf", "x");
        symlink("v1", top.join("data")).unwrap();
        symlink("data/conf", top.join("conf")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        symlink("../v1/none", top.join("v1/dangling")).unwrap();
        // path, components, end
        let cases: [(&str, &[&str], Option<&str>); 6] = [
            ("v1/conf", &["v1/conf"], Some("v1/conf")),
            ("v1/new", &["v1/new"], Some("v1/new")),
            ("conf", &["conf", "data", "v1/conf"], Some("v1/conf")),
            ("v1/deep/../../data/./dangling", &["data", "v1/dangling", "v1/none"], Some("v1/none")),
            ("gone/deeper/conf", &["gone"], None),
            ("v1/deep", &["v1/deep"], Some("v1/deep")),
        ];
        for (path, wanted, end) in cases {
            let components = PathComponents::of(&top.join(path));
            let wanted: Vec<PathBuf> = wanted.iter().map(|name| top.join(name)).collect();
            assert_eq!(paths(&components), wanted, "{path}");
            assert_eq!(components.end, end.map(|end| top.join(end)), "{path}");
            assert!(components.has(&wanted[0]) && components.has(wanted[0].parent().unwrap()));
            assert!(!components.has(&top.join("other")));
        }
        assert_eq!(paths(&PathComponents::of(&top.join("loop/x"))), [top.join("loop")]);
    }
}
