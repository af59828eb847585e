//! What a path names, without its contents: which file, and which version of it.
//!
//! The kernel reports changes of the files that are watched, not of the path that led to
//! them. A look finds what no watch reports: another file at the path, because a directory
//! above it was renamed or mounted over, and an edit through another hard link.

use super::folder::Folder;
use crate::host::resolve::resolve;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FileStat, fstat, fstatat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// A version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: i64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) const fn of(stat: &FileStat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
        }
    }

    /// That of an open file; `None` if the system does not tell.
    pub(crate) fn of_open(file: impl AsFd) -> Option<Self> {
        fstat(file).ok().as_ref().map(Self::of)
    }
}

/// What a path named, and the files below it; `None` for a file that could not be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    path: PathBuf,
    top: Option<Stamp>,
    below: BTreeMap<PathBuf, Option<Stamp>>,
}

impl Look {
    /// Looks at what a path leads to.
    pub(crate) fn at(path: &Path) -> Self {
        let stamp = || -> io::Result<Stamp> {
            let place = resolve(path)?;
            let name = place.name.as_deref().unwrap_or(OsStr::new("."));
            Ok(Stamp::of(&fstatat(&place.folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?))
        };
        Self { path: path.to_owned(), top: stamp().ok(), below: BTreeMap::new() }
    }

    /// Adds a file below the path, as it was when it was opened.
    pub(crate) fn add(&mut self, below: PathBuf, stamp: Option<Stamp>) {
        self.below.insert(below, stamp);
    }

    /// Looks at the same names once more.
    #[must_use]
    pub fn again(&self) -> Self {
        let mut look = Self::at(&self.path);
        // A file has nothing below it.
        let top = if self.below.is_empty() { None } else { Folder::open(&self.path).ok() };
        for name in self.below.keys() {
            let stat = top.as_ref().and_then(|top| top.at(name, Folder::stat).ok().flatten());
            look.add(name.clone(), stat.as_ref().map(Stamp::of));
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn another_file_at_the_path_and_another_version_of_it_are_seen() {
        let scratch = Scratch::new();
        let path = scratch.write("app/etc/conf", "1");
        scratch.write("app2/etc/conf", "1");
        scratch.write("app/etc/other", "1");
        let changes: [(&str, &dyn Fn()); 6] = [
            ("renamed above", &|| {
                fs::rename(scratch.join("app"), scratch.join("app.old")).unwrap();
                fs::rename(scratch.join("app2"), scratch.join("app")).unwrap();
            }),
            ("edited through another link", &|| {
                fs::hard_link(&path, scratch.join("same")).unwrap();
                scratch.write("same", "longer");
            }),
            ("gone", &|| fs::remove_dir_all(scratch.join("app")).unwrap()),
            ("back", &|| drop(scratch.write("app/etc/conf", "1"))),
            ("a link above", &|| {
                fs::rename(scratch.join("app"), scratch.join("v1")).unwrap();
                symlink("v1", scratch.join("app")).unwrap();
                scratch.write("v2/etc/conf", "1");
            }),
            ("moved to another target", &|| {
                symlink("v2", scratch.join("new")).unwrap();
                fs::rename(scratch.join("new"), scratch.join("app")).unwrap();
            }),
        ];
        for (what, change) in changes {
            let before = Look::at(&path);
            assert_eq!(before.again(), before, "before {what}");
            scratch.write("elsewhere", what);
            change();
            let is_same_file = what == "a link above";
            assert_eq!(before.again() == before, is_same_file, "{what}");
        }
    }
}
