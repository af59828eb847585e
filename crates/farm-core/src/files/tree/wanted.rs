//! The wanted contents of a directory.
//!
//! **Invariant.** Every name in it is a plain file name, so writing it never leaves the
//! directory.

use crate::codec::dir::{DEPTH_MAX, Tree, check_name};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Files by their paths below the directory, with slashes.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// The wanted files and directories; no others are wanted.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) nodes: BTreeMap<String, Node<'a>>,
}

#[derive(Debug)]
pub(super) enum Node<'a> {
    File(&'a [u8]),
    Folder(Wanted<'a>),
}

impl<'a> Wanted<'a> {
    pub(super) fn of_files(files: &'a Files) -> io::Result<Self> {
        let mut top = Self::default();
        for (path, bytes) in files {
            top.insert(path.split('/'), Node::File(bytes))?;
        }
        Ok(top)
    }

    pub(super) fn of_tree(tree: &'a Tree) -> io::Result<Self> {
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
                Node::File(_) => return Err(io::ErrorKind::InvalidInput.into()),
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
