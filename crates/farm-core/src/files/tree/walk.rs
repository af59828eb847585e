//! Compares a directory with what it shall be, entry by entry.
//!
//! This is the one place that says what goes, what stays and in which order. What
//! comes of it is up to a [`Hand`]: it is done, or noted.
//!
//! **Invariant.** Dot-files are not even looked at, links are never followed, and
//! both keep the directory that they are in. A link goes only where something is
//! wanted in its place.

use super::wanted::{Node, Wanted};
use crate::files::folder::{Folder, Kind, REMOVAL_DEPTH_MAX, kind_of};
use crate::files::hidden::is_hidden;
use nix::sys::stat::FileStat;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// An entry, and its path from the top on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) folder: &'a Folder,
    pub(super) name: &'a OsStr,
    pub(super) path: &'a Path,
}

/// What is done about each difference. The defaults do nothing: they suit
/// a hand that only looks.
pub(super) trait Hand {
    /// A file shall be there; `stat` is of the one that is. Tells whether it was other.
    fn put(&mut self, spot: Spot<'_>, stat: Option<&FileStat>, bytes: &[u8]) -> io::Result<bool>;

    /// A file shall go, or a link or the like that is in the way.
    fn remove_file(&mut self, _: Spot<'_>, _: Kind) -> io::Result<()> {
        Ok(())
    }

    /// A directory shall go, of which nothing is left. Tells whether it is gone.
    fn remove_folder(&mut self, _: Spot<'_>) -> io::Result<bool> {
        Ok(true)
    }

    /// A directory is missing; `None` if there is nothing to go into.
    fn make_folder(&mut self, _: Spot<'_>, _below: &Wanted<'_>) -> io::Result<Option<Folder>> {
        Ok(None)
    }

    /// Something that is not ours to remove is in the way.
    fn is_blocked(&mut self, _: Spot<'_>) -> io::Result<()> {
        Ok(())
    }

    /// Entries of this directory were other than they shall be.
    fn differs(&mut self, _: &Folder) -> io::Result<()> {
        Ok(())
    }
}

/// Goes through the directory `top`, whose path is `at`; after an error `at` is where
/// it happened.
pub(super) fn walk<H: Hand>(
    top: &Folder,
    wanted: &Wanted<'_>,
    hand: &mut H,
    at: &mut PathBuf,
) -> io::Result<()> {
    let mut walk = Walk { hand, path: PathBuf::new() };
    let outcome = walk.folder(top, wanted);
    at.extend(&walk.path);
    outcome
}

struct Walk<'a, H> {
    hand: &'a mut H,
    /// Where we are, from the top on.
    path: PathBuf,
}

impl<H: Hand> Walk<'_, H> {
    fn folder(&mut self, folder: &Folder, wanted: &Wanted<'_>) -> io::Result<()> {
        let mut differs = false;
        for name in folder.all_names()?.iter().filter(|name| !is_hidden(name)) {
            if !name.to_str().is_some_and(|name| wanted.nodes.contains_key(name)) {
                differs |= self.entry(name, |walk| walk.remove(folder, name, 0))?;
            }
        }
        for (name, node) in &wanted.nodes {
            let name = OsStr::new(name);
            differs |= self.entry(name, |walk| walk.node(folder, name, node))?;
        }
        if differs { self.hand.differs(folder) } else { Ok(()) }
    }

    fn entry<T>(
        &mut self,
        name: &OsStr,
        act: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.path.push(name);
        let done = act(self)?;
        self.path.pop();
        Ok(done)
    }

    /// Tells whether the entry was other than it shall be.
    fn node(&mut self, folder: &Folder, name: &OsStr, node: &Node<'_>) -> io::Result<bool> {
        let stat = folder.stat(name)?;
        let kind = stat.as_ref().map(kind_of);
        let fits = match node {
            Node::File(_) => kind == Some(Kind::File),
            Node::Folder(_) => kind == Some(Kind::Folder),
        };
        let is_replaced = kind.is_some() && !fits;
        if kind == Some(Kind::Other) {
            self.hand.remove_file(Spot { folder, name, path: &self.path }, Kind::Other)?;
        } else if is_replaced && !self.remove(folder, name, 0)? {
            self.hand.is_blocked(Spot { folder, name, path: &self.path })?;
            return Ok(false);
        }
        let spot = Spot { folder, name, path: &self.path };
        match node {
            Node::File(bytes) => {
                let stat = stat.as_ref().filter(|_| fits);
                Ok(self.hand.put(spot, stat, bytes)? || is_replaced)
            }
            Node::Folder(below) if fits => {
                self.folder(&folder.enter(name)?, below)?;
                Ok(false)
            }
            Node::Folder(below) => {
                if let Some(made) = self.hand.make_folder(spot, below)? {
                    self.folder(&made, below)?;
                }
                Ok(true)
            }
        }
    }

    /// Removes a file, or a directory with all that is not hidden in it; tells whether
    /// it is gone. Links and the like are nobody's file and stay.
    fn remove(&mut self, folder: &Folder, name: &OsStr, depth: usize) -> io::Result<bool> {
        match folder.kind(name)? {
            None => Ok(true),
            Some(Kind::Other) => Ok(false),
            Some(Kind::File) => {
                self.hand.remove_file(Spot { folder, name, path: &self.path }, Kind::File)?;
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
                let spot = Spot { folder, name, path: &self.path };
                let is_gone = is_empty && self.hand.remove_folder(spot)?;
                if differs && !is_gone {
                    self.hand.differs(&below)?;
                }
                Ok(is_gone)
            }
        }
    }
}
