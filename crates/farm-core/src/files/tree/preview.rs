//! What writing a directory would change.
//!
//! The changes of one entry of the directory are in memory at a time.

use super::walk::{Slot, Visitor, walk_entry};
use super::wanted::{Node, Wanted, with_contents};
use crate::engine::check_stop;
use crate::files::folder::Folder;
use crate::files::hidden::is_hidden;
use crate::files::kind::Kind;
use crate::files::open_file::read_start;
use nix::sys::stat::FileStat;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// More than any field has; of larger files the beginning is shown.
const BYTES_MAX: usize = 64 << 20;

/// A file that would be made, changed or removed.
///
/// An empty directory has a path that ends in a slash, and no bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path below the top of the directory.
    pub path: PathBuf,
    /// Its contents; `None` if it does not exist.
    pub before: Option<Vec<u8>>,
    /// Its new contents; `None` if it would be removed.
    pub after: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(super) struct Preview {
    /// Empty directories.
    folders: Vec<Change>,
    files: Vec<Change>,
}

impl Preview {
    /// Calls `show` for each change in the directory `top`, or in a new one, by path.
    pub(super) fn show(
        top: Option<&Folder>,
        wanted: &Wanted<'_>,
        mut show: impl FnMut(Change) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut names: BTreeSet<OsString> = wanted.nodes.keys().map(OsString::from).collect();
        if let Some(top) = top {
            names.extend(top.all_names()?.into_iter().filter(|name| !is_hidden(name)));
        }
        for name in names {
            let mut preview = Self::default();
            let node = name.to_str().and_then(|name| wanted.nodes.get(name));
            match (top, node) {
                (Some(top), node) => walk_entry(top, &name, node, &mut preview)?,
                (None, Some(node)) => {
                    preview.new_node(Path::new(""), &name.to_string_lossy(), node)?;
                }
                (None, None) => {}
            }
            let mut changes = preview.folders;
            changes.append(&mut preview.files);
            changes.sort_by(|one, other| one.path.cmp(&other.path));
            changes.into_iter().try_for_each(&mut show)?;
        }
        Ok(())
    }

    fn new_node(&mut self, above: &Path, name: &str, node: &Node<'_>) -> io::Result<()> {
        check_stop()?;
        let path = above.join(name);
        match node {
            Node::Folder(below) => self.new_folder(&path, below),
            Node::Deferred(tree_of) => {
                with_contents(*tree_of, name, |below| self.new_folder(&path, below))
            }
            Node::File(bytes) => {
                self.files.push(Change { path, before: None, after: Some(bytes.to_vec()) });
                Ok(())
            }
        }
    }

    fn new_folder(&mut self, path: &Path, below: &Wanted<'_>) -> io::Result<()> {
        if below.nodes.is_empty() {
            let (path, after) = (path.join(""), Some(Vec::new()));
            self.folders.push(Change { path, before: None, after });
        }
        below.nodes.iter().try_for_each(|(name, node)| self.new_node(path, name, node))
    }
}

impl Visitor for Preview {
    fn remove_file(&mut self, slot: Slot<'_>, kind: Kind) -> io::Result<()> {
        // The change of a link is shown with the file that replaces it.
        if kind == Kind::File
            && let Some(before) = slot.read()?
        {
            let path = slot.path.to_owned();
            self.files.push(Change { path, before: Some(before), after: None });
        }
        Ok(())
    }

    fn remove_folder(&mut self, Slot { folder, name, path }: Slot<'_>) -> io::Result<bool> {
        if folder.enter(name)?.names(0)?.is_some() {
            let (path, before) = (path.join(""), Some(Vec::new()));
            self.folders.push(Change { path, before, after: None });
        }
        Ok(true)
    }

    fn make_folder(&mut self, slot: Slot<'_>, below: &Wanted<'_>) -> io::Result<Option<Folder>> {
        self.new_folder(slot.path, below)?;
        Ok(None)
    }

    fn put(&mut self, slot: Slot<'_>, stat: Option<&FileStat>, bytes: &[u8]) -> io::Result<bool> {
        let before = if stat.is_some() { slot.read()? } else { None };
        let differs = before.as_deref() != Some(bytes);
        if differs {
            let (path, after) = (slot.path.to_owned(), Some(bytes.to_vec()));
            self.files.push(Change { path, before, after });
        }
        Ok(differs)
    }
}

impl Slot<'_> {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let file = self.folder.open_file(self.name)?;
        file.map(|file| read_start(&file, BYTES_MAX)).transpose()
    }
}
