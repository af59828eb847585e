//! A whole farm as a directory: one directory per host, one file per field.
//!
//! **Invariant.** Nothing is written or removed in a directory without our mark.

mod preview;

pub use super::mark::ClaimError;
pub use preview::{Change, preview};

use super::file::{Replaced, StoreError};
use super::folder::{Folder, Kind};
use super::manner::Manner;
use super::mark::Mark;
use crate::codec::dir::{Encoded, Refusal, Tree, encode};
use crate::model::{Farm, FieldPath, Record, Value};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The file that says that a directory is written by us alone.
pub const MARK: &str = ".zkexport";
const OWN: Mark =
    Mark { name: MARK, text: b"Written by zkexport: other files here are removed.\n" };
/// More than any farm has in one directory.
const NAMES_MAX: usize = 1_000_000;
/// Our own trees are no deeper; a stranger's may be.
const REMOVAL_DEPTH_MAX: usize = 128;

/// A directory that is ours to write.
#[derive(Debug)]
pub struct ExportDir {
    path: PathBuf,
    manner: Manner,
    told: BTreeSet<(FieldPath, Refusal)>,
}

impl ExportDir {
    /// Makes the directory, or takes one that is empty or has our mark; with
    /// `adopt` any other one too.
    ///
    /// # Errors
    ///
    /// [`ClaimError::NotOurs`] for a directory with somebody else's files, which
    /// is left as it is.
    pub fn claim(path: &Path, adopt: bool) -> Result<Self, ClaimError> {
        OWN.claim(path, adopt)?;
        let (path, manner) = (path.to_owned(), Manner::default());
        Ok(Self { path, manner, told: BTreeSet::new() })
    }

    /// Has every file written in this manner from now on.
    #[must_use]
    pub fn written_as(self, manner: Manner) -> Self {
        Self { manner, ..self }
    }

    /// Makes the directory show the farm, touching only what differs.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; every file has its old contents or its new ones. A
    /// directory that has lost its mark is not written to.
    pub fn store(&mut self, farm: &Farm) -> Result<Replaced, StoreError> {
        let encoded = laid_out(farm);
        let refused: BTreeSet<_> = encoded.refused.into_iter().collect();
        for (field, why) in refused.difference(&self.told) {
            log::warn!("a field has no file: {why} field={:?}", field.to_string());
        }
        self.told = refused;

        let (at, manner) = (self.path.clone(), self.manner);
        let mut writing = Writing { at, manner, is_written: false };
        match writing.top(&self.path, &nested(encoded.tree)) {
            Ok(()) if writing.is_written => Ok(Replaced::Written),
            Ok(()) => Ok(Replaced::Unchanged),
            Err(e) => Err(StoreError::io(&writing.at, e)),
        }
    }
}

fn laid_out(farm: &Farm) -> Encoded {
    let hosts = farm
        .iter()
        .map(|(name, record)| (name.as_str().to_owned(), Value::Object(record.as_map().clone())));
    encode(&Record::from_map(hosts.collect()))
}

enum Node {
    File(Vec<u8>),
    Folder(BTreeMap<String, Self>),
}

fn nested(tree: Tree) -> BTreeMap<String, Node> {
    let mut top = BTreeMap::new();
    for keys in tree.folders {
        plant(&mut top, &keys, Node::Folder(BTreeMap::new()));
    }
    for (keys, bytes) in tree.files {
        plant(&mut top, &keys, Node::File(bytes));
    }
    top
}

fn plant(top: &mut BTreeMap<String, Node>, keys: &[String], node: Node) {
    let Some((last, above)) = keys.split_last() else { return };
    let mut at = top;
    for key in above {
        // Directories come before what is in them.
        let Some(Node::Folder(below)) = at.get_mut(key) else { return };
        at = below;
    }
    at.insert(last.clone(), node);
}

struct Writing {
    /// Where we are, for the message if it fails there.
    at: PathBuf,
    manner: Manner,
    is_written: bool,
}

impl Writing {
    fn top(&mut self, path: &Path, wanted: &BTreeMap<String, Node>) -> io::Result<()> {
        let folder = Folder::open(path)?;
        if !OWN.is_on(&folder)? {
            self.at.push(MARK);
            return Err(io::ErrorKind::NotFound.into());
        }
        self.folder(&folder, wanted)
    }

    fn folder(&mut self, folder: &Folder, wanted: &BTreeMap<String, Node>) -> io::Result<()> {
        let was_written = std::mem::take(&mut self.is_written);
        for name in folder.names(NAMES_MAX)?.ok_or(io::ErrorKind::FileTooLarge)? {
            let is_wanted = name.to_str().is_some_and(|name| wanted.contains_key(name));
            if !is_wanted && !name.as_encoded_bytes().starts_with(b".") {
                self.remove(folder, &name, 0)?;
            }
        }
        for (name, node) in wanted {
            self.at.push(name);
            self.node(folder, OsStr::new(name), node)?;
            self.at.pop();
        }
        if self.is_written {
            folder.sync()?;
        }
        self.is_written |= was_written;
        Ok(())
    }

    fn node(&mut self, folder: &Folder, name: &OsStr, node: &Node) -> io::Result<()> {
        let kind = folder.kind(name)?;
        match (node, kind) {
            (Node::File(_), Some(Kind::Folder | Kind::Other))
            | (Node::Folder(_), Some(Kind::File | Kind::Other)) => {
                self.clear(folder, name, kind)?;
                if folder.kind(name)?.is_some() {
                    let path = self.at.display();
                    log::warn!("not written, other files are in the way: file={path}");
                    return Ok(());
                }
            }
            (Node::File(_), Some(Kind::File) | None)
            | (Node::Folder(_), Some(Kind::Folder) | None) => {}
        }
        match node {
            Node::File(bytes) => {
                self.is_written |= folder.put_as(name, bytes, &self.manner)? == Replaced::Written;
                Ok(())
            }
            Node::Folder(below) => {
                match folder.make_folder(name) {
                    Ok(()) => self.is_written = true,
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(e) => return Err(e),
                }
                self.folder(&folder.enter(name)?, below)
            }
        }
    }

    /// Makes room for something of another kind.
    fn clear(&mut self, folder: &Folder, name: &OsStr, kind: Option<Kind>) -> io::Result<()> {
        if kind == Some(Kind::Other) {
            self.is_written = true;
            return folder.remove_file(name);
        }
        self.remove(folder, name, 0)
    }

    /// Removes a file, or a directory with all that is not hidden in it. Links and
    /// the like are nobody's field and stay.
    fn remove(&mut self, folder: &Folder, name: &OsStr, depth: usize) -> io::Result<()> {
        let removed = match folder.kind(name)? {
            None | Some(Kind::Other) => return Ok(()),
            Some(Kind::File) => folder.remove_file(name),
            Some(Kind::Folder) if depth == REMOVAL_DEPTH_MAX => return Ok(()),
            Some(Kind::Folder) => {
                let below = folder.enter(name)?;
                for inner in below.names(NAMES_MAX)?.ok_or(io::ErrorKind::FileTooLarge)? {
                    if !inner.as_encoded_bytes().starts_with(b".") {
                        self.remove(&below, &inner, depth + 1)?;
                    }
                }
                folder.remove_folder(name)
            }
        };
        match removed.map_err(|e| (e.raw_os_error().map(Errno::from_raw), e)) {
            Ok(()) => {
                self.is_written = true;
                Ok(())
            }
            Err((Some(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOENT), _)) => Ok(()),
            Err((_, e)) => Err(e),
        }
    }
}

#[cfg(test)]
mod tests;
