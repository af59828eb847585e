//! A directory that one of our tools writes alone: given files and no others.
//!
//! `wanted` is the directory as it shall be; `walk` compares the directory with it, and says
//! what has to go and what has to come. There are two ways to do it, because the two
//! tools promise different things. [`OwnedDir::write`] puts each difference right on
//! the spot: thousands of hosts change one at a time, and every file is right by
//! itself. [`OwnedDir::stage`] first writes all new files in a hidden directory, and
//! [`StagedTree::install`] keeps what they replace: files that belong together change
//! together, can be checked before and put back after. That costs the room of both,
//! and a rename for each file.
//!
//! **Invariant.** Nothing is written or removed in a directory without the mark.

mod direct;
mod install;
mod preview;
mod stage;
#[cfg(test)]
mod tests;
mod walk;
mod wanted;

pub use install::TreeBackup;
pub use preview::Change;
pub use stage::StagedTree;

use self::direct::Direct;
use self::preview::Preview;
use self::stage::Comparison;
use self::walk::walk;
use self::wanted::Wanted;
use super::error::FileError;
use super::file::Replaced;
use super::folder::Folder;
use super::hidden::sweep;
use super::marker::OwnershipMarker;
use super::write_options::WriteOptions;
use crate::codec::dir::Tree;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Files by their paths below the directory, with slashes.
pub type Files = BTreeMap<String, Arc<[u8]>>;

/// A directory that is ours.
#[derive(Debug, Clone)]
pub struct OwnedDir {
    /// Where it is.
    pub path: PathBuf,
    /// What says that it is ours.
    pub marker: OwnershipMarker,
    /// How its files are written.
    pub options: WriteOptions,
}

impl OwnedDir {
    /// Makes the directory, or takes one that is empty or has the mark, and removes
    /// what a run that was killed has left in it.
    ///
    /// # Errors
    ///
    /// [`FileError`] as for [`OwnershipMarker::claim`], or when a left-over stays.
    pub fn claim(&self) -> Result<(), FileError> {
        self.marker.claim(&self.path, false)?;
        let swept = Folder::open(&self.path).and_then(|top| sweep(&top));
        swept.map_err(|e| FileError::writing(&self.path, e))
    }

    /// Whether it holds just these files.
    ///
    /// # Errors
    ///
    /// [`FileError`] when it can't be read.
    pub fn holds(&self, files: &Files) -> Result<bool, FileError> {
        let look = || -> io::Result<bool> {
            let top = match Folder::open(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                top => top?,
            };
            Ok(self.marker.is_on(&top)? && !Comparison::of(&top, files, None)?.differs)
        };
        look().map_err(|e| FileError::writing(&self.path, e))
    }

    /// Makes it hold just this, touching only what differs.
    ///
    /// # Errors
    ///
    /// [`FileError`]; every file has its old contents or its new ones. A directory
    /// that has lost its mark is not written to.
    pub fn write(&self, tree: &Tree) -> Result<Replaced, FileError> {
        let mut at = self.path.clone();
        let mut direct = Direct { options: self.options, is_written: false };
        let mut write = || -> io::Result<()> {
            let top = Folder::open(&self.path)?;
            if !self.marker.is_on(&top)? {
                at.push(self.marker.name);
                return Err(io::ErrorKind::NotFound.into());
            }
            walk(&top, &Wanted::of_tree(tree)?, &mut direct, &mut at)
        };
        write().map_err(|e| FileError::writing(&at, e))?;
        Ok(if direct.is_written { Replaced::Written } else { Replaced::Unchanged })
    }

    /// Says what [`OwnedDir::write`] would change; nothing is touched.
    ///
    /// # Errors
    ///
    /// [`FileError`] as for [`OwnershipMarker::claim`].
    pub fn preview(&self, adopt: bool, tree: &Tree) -> Result<Vec<Change>, FileError> {
        let look = || -> io::Result<Option<Vec<Change>>> {
            let top = match Folder::open(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                top => Some(top?),
            };
            if let Some(top) = &top
                && !self.marker.may_be_put_on(top, adopt)?
            {
                return Ok(None);
            }
            Preview::of(top.as_ref(), &Wanted::of_tree(tree)?).map(Some)
        };
        self.marker.verdict(&self.path, look())
    }

    /// Writes what differs to a hidden directory, or everything if `is_whole` is
    /// set; `None` if nothing differs. The directory is made if it is missing.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the files are untouched and nothing is left behind.
    pub fn stage(&self, files: &Files, is_whole: bool) -> Result<Option<StagedTree>, FileError> {
        self.marker.claim(&self.path, false)?;
        let staged = StagedTree::write(self, files, is_whole);
        staged.map_err(|e| FileError::writing(&self.path, e))
    }
}
