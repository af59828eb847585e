//! The wanted contents of a directory.
//!
//! **Invariant.** Every name in it is a plain file name, so writing it never leaves the
//! directory.

use crate::codec::dir::{DEPTH_MAX, Tree, check_name};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Files by their paths below the directory, with slashes.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// Makes the contents of one of many directories when it is their turn, so that the contents of
/// all of them are never in memory together.
pub(super) type TreeOf<'a> = &'a dyn Fn(&str) -> Tree;

/// Directories, and no others, whose contents are made one after the other.
pub struct Folders<'a> {
    /// Their names.
    pub names: Vec<&'a str>,
    /// The directory of that name, with everything in it.
    pub tree_of: TreeOf<'a>,
}

impl fmt::Debug for Folders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folders").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The wanted files and directories; no others are wanted.
#[derive(Default)]
pub(super) struct Wanted<'a> {
    pub(super) nodes: BTreeMap<String, Node<'a>>,
}

pub(super) enum Node<'a> {
    File(&'a [u8]),
    Folder(Wanted<'a>),
    /// A directory whose contents are not made yet.
    Deferred(TreeOf<'a>),
}

/// Makes the contents of a deferred directory, and calls `act` with them.
pub(super) fn with_contents<T>(
    tree_of: TreeOf<'_>,
    name: &str,
    act: impl FnOnce(&Wanted<'_>) -> io::Result<T>,
) -> io::Result<T> {
    let tree = tree_of(name);
    match Wanted::of_tree(&tree)?.nodes.remove(name) {
        Some(Node::Folder(below)) => act(&below),
        Some(Node::File(_) | Node::Deferred(_)) | None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

impl<'a> Wanted<'a> {
    pub(super) fn of_files(files: &'a Files) -> io::Result<Self> {
        let mut top = Self::default();
        for (path, bytes) in files {
            top.insert(path.split('/'), Node::File(bytes))?;
        }
        Ok(top)
    }

    pub(super) fn of_folders(folders: &Folders<'a>) -> io::Result<Self> {
        let mut top = Self::default();
        for name in &folders.names {
            top.insert([*name].into_iter(), Node::Deferred(folders.tree_of))?;
        }
        Ok(top)
    }

    fn of_tree(tree: &'a Tree) -> io::Result<Self> {
        let mut top = Self::default();
        for keys in &tree.folders {
            top.insert(keys.iter().map(String::as_str), Node::Folder(Self::default()))?;
        }
        for (keys, bytes) in &tree.files {
            top.insert(keys.iter().map(String::as_str), Node::File(bytes))?;
        }
        Ok(top)
    }

    /// Adds a node, and the directories above it that are missing. A directory must be
    /// added before its contents.
    fn insert<'k>(
        &mut self,
        mut keys: impl DoubleEndedIterator<Item = &'k str>,
        node: Node<'a>,
    ) -> io::Result<()> {
        let last = keys.next_back().unwrap_or_default();
        let mut at = self;
        let mut depth = 1;
        for key in keys {
            check_name(key).map_err(|_| io::ErrorKind::InvalidInput)?;
            let below = at.nodes.entry(key.to_owned());
            match below.or_insert_with(|| Node::Folder(Self::default())) {
                Node::Folder(below) => at = below,
                Node::File(_) | Node::Deferred(_) => {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
            }
            depth += 1;
        }
        if depth > DEPTH_MAX || check_name(last).is_err() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        at.nodes.insert(last.to_owned(), node);
        Ok(())
    }
}
