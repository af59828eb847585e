//! Compares a directory with its wanted contents, entry by entry.
//!
//! Only this module decides what is removed, what stays and in which order. A
//! [`Visitor`] carries the differences out, or notes them. A walk can end between any two entries,
//! when the process has been told to stop.
//!
//! **Invariant.** Dot-files are ignored, links are never followed, and a directory
//! that contains one of them stays. A link is removed only if another entry is wanted
//! at its path.

use super::wanted::{Node, Wanted, with_contents};
use crate::engine::check_stop;
use crate::files::cleanup::REMOVAL_DEPTH_MAX;
use crate::files::folder::Folder;
use crate::files::hidden::is_hidden;
use crate::files::kind::{Kind, kind_of};
use nix::sys::stat::FileStat;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// A name in a directory, with or without a file, and its path below the top.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot<'a> {
    pub(super) folder: &'a Folder,
    pub(super) name: &'a OsStr,
    pub(super) path: &'a Path,
}

/// Receives each difference. The defaults do nothing; they suit a visitor that only
/// compares.
pub(super) trait Visitor {
    /// A file is wanted; `stat` is that of the present one. Returns whether they differ.
    fn put(&mut self, slot: Slot<'_>, stat: Option<&FileStat>, bytes: &[u8]) -> io::Result<bool>;

    /// Fails if the walk must not go on, because the process has been told to stop.
    fn check_stop(&self) -> io::Result<()> {
        check_stop()
    }

    /// A file is not wanted, or a link, a socket or the like is at a wanted path.
    fn remove_file(&mut self, _: Slot<'_>, _: Kind) -> io::Result<()> {
        Ok(())
    }

    /// A directory is not wanted, and empty by now. Returns whether it is removed.
    fn remove_folder(&mut self, _: Slot<'_>) -> io::Result<bool> {
        Ok(true)
    }

    /// A directory is missing; returns the new one, or `None` to skip its contents.
    fn make_folder(&mut self, _: Slot<'_>, _below: &Wanted<'_>) -> io::Result<Option<Folder>> {
        Ok(None)
    }

    /// An entry that must not be removed is at a wanted path.
    fn blocked(&mut self, _: Slot<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Entries of this directory differed.
    fn folder_differs(&mut self, _: &Folder) -> io::Result<()> {
        Ok(())
    }
}

/// Walks the directory `top`, whose path is `at`; after an error `at` is the path of
/// the entry that failed.
pub(super) fn walk<V: Visitor>(
    top: &Folder,
    wanted: &Wanted<'_>,
    visitor: &mut V,
    at: &mut PathBuf,
) -> io::Result<()> {
    let mut walk = Walk { visitor, path: PathBuf::new() };
    let outcome = walk.folder(top, wanted);
    at.extend(&walk.path);
    outcome
}

/// As [`walk`], but only for one name in the directory; `node` is what is wanted there.
pub(super) fn walk_entry<V: Visitor>(
    top: &Folder,
    name: &OsStr,
    node: Option<&Node<'_>>,
    visitor: &mut V,
) -> io::Result<()> {
    let mut walk = Walk { visitor, path: PathBuf::new() };
    walk.entry(name, |walk| match (node, name.to_str()) {
        (Some(node), Some(name)) => walk.node(top, name, node),
        (None, _) | (_, None) => walk.remove(top, name, 0),
    })?;
    Ok(())
}

struct Walk<'a, V> {
    visitor: &'a mut V,
    /// The path of the current entry below the top.
    path: PathBuf,
}

impl<V: Visitor> Walk<'_, V> {
    fn folder(&mut self, folder: &Folder, wanted: &Wanted<'_>) -> io::Result<()> {
        let mut differs = false;
        for name in folder.all_names()?.iter().filter(|name| !is_hidden(name)) {
            if !name.to_str().is_some_and(|name| wanted.nodes.contains_key(name)) {
                differs |= self.entry(name, |walk| walk.remove(folder, name, 0))?;
            }
        }
        for (name, node) in &wanted.nodes {
            differs |= self.entry(OsStr::new(name), |walk| walk.node(folder, name, node))?;
        }
        if differs { self.visitor.folder_differs(folder) } else { Ok(()) }
    }

    fn entry<T>(
        &mut self,
        name: &OsStr,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.visitor.check_stop()?;
        self.path.push(name);
        let done = act(self)?;
        self.path.pop();
        Ok(done)
    }

    /// Returns whether the entry differed.
    fn node(&mut self, folder: &Folder, text: &str, node: &Node<'_>) -> io::Result<bool> {
        let name = OsStr::new(text);
        let stat = folder.stat(name)?;
        let kind = stat.as_ref().map(kind_of);
        let fits = match node {
            Node::File(_) => kind == Some(Kind::File),
            Node::Folder(_) | Node::Deferred(_) => kind == Some(Kind::Folder),
        };
        let is_replaced = kind.is_some() && !fits;
        if kind == Some(Kind::Other) {
            self.visitor.remove_file(Slot { folder, name, path: &self.path }, Kind::Other)?;
        } else if is_replaced && !self.remove(folder, name, 0)? {
            self.visitor.blocked(Slot { folder, name, path: &self.path })?;
            return Ok(false);
        }
        match node {
            Node::File(bytes) => {
                let stat = stat.as_ref().filter(|_| fits);
                let slot = Slot { folder, name, path: &self.path };
                Ok(self.visitor.put(slot, stat, bytes)? || is_replaced)
            }
            Node::Folder(below) => self.below(folder, name, below, fits),
            Node::Deferred(tree_of) => {
                with_contents(*tree_of, text, |below| self.below(folder, name, below, fits))
            }
        }
    }

    /// Walks a directory in `folder`, which is made if it is missing; returns whether it was.
    fn below(
        &mut self,
        folder: &Folder,
        name: &OsStr,
        wanted: &Wanted<'_>,
        is_there: bool,
    ) -> io::Result<bool> {
        if is_there {
            self.folder(&folder.enter(name)?, wanted)?;
            return Ok(false);
        }
        let slot = Slot { folder, name, path: &self.path };
        if let Some(made) = self.visitor.make_folder(slot, wanted)? {
            self.folder(&made, wanted)?;
        }
        Ok(true)
    }

    /// Removes a file, or a directory with everything in it that is not hidden; returns
    /// whether it is gone. Links, sockets and the like stay.
    fn remove(&mut self, folder: &Folder, name: &OsStr, depth: usize) -> io::Result<bool> {
        match folder.kind(name)? {
            None => Ok(true),
            Some(Kind::Other) => Ok(false),
            Some(Kind::File) => {
                self.visitor.remove_file(Slot { folder, name, path: &self.path }, Kind::File)?;
                Ok(true)
            }
            Some(Kind::Folder) if depth == REMOVAL_DEPTH_MAX => Ok(false),
            Some(Kind::Folder) => {
                let below = folder.enter(name)?;
                let (mut differs, mut is_empty) = (false, true);
                for inner in below.all_names()? {
                    let is_gone = !is_hidden(&inner)
                        && self.entry(&inner, |walk| walk.remove(&below, &inner, depth + 1))?;
                    differs |= is_gone;
                    is_empty &= is_gone;
                }
                let slot = Slot { folder, name, path: &self.path };
                let is_gone = is_empty && self.visitor.remove_folder(slot)?;
                if differs && !is_gone {
                    self.visitor.folder_differs(&below)?;
                }
                Ok(is_gone)
            }
        }
    }
}
