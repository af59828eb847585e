//! A directory that only one of our tools writes, with given files and no others.
//!
//! `wanted` has the wanted contents; `walk` compares the directory with them, and calls
//! a visitor for each difference. There are two ways to write, because two tools need
//! different things. [`OwnedDir::write`] changes one file at a time: the files of
//! thousands of hosts do not depend on each other. [`OwnedDir::stage`] first writes all
//! new files to a hidden directory, and [`StagedTree::install`] keeps what they replace:
//! files that belong together change together, can be checked before and put back
//! after. That needs room for both, and a rename for each file.
//!
//! **Invariant.** Nothing is written or removed in a directory without the marker.

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
pub use wanted::{Files, Folders};

use self::direct::DirectWriter;
use self::preview::Preview;
use self::stage::Comparison;
use self::walk::walk;
use self::wanted::Wanted;
use super::cleanup::{Sweep, sweep};
use super::error::FileError;
use super::file::Replaced;
use super::folder::Folder;
use super::marker::OwnershipMarker;
use super::write_options::WriteOptions;
use std::io;
use std::path::PathBuf;

/// A directory that is ours.
#[derive(Debug, Clone)]
pub struct OwnedDir {
    /// Its path.
    pub path: PathBuf,
    /// The file that says that it is ours.
    pub marker: OwnershipMarker,
    /// How its files are written.
    pub options: WriteOptions,
}

impl OwnedDir {
    /// Creates the directory, or claims one that is empty or has the marker, with `adopt` any
    /// other one too. Removes what a killed process has left in it.
    ///
    /// # Errors
    ///
    /// [`FileError`] as for [`OwnershipMarker::claim`].
    pub fn claim(&self, adopt: bool) -> Result<(), FileError> {
        self.marker.claim(&self.path, adopt)?;
        let top = Folder::open(&self.path).map_err(|e| FileError::writing(&self.path, e))?;
        sweep(&top, Sweep::OwnedTree);
        Ok(())
    }

    /// Whether it holds these files and no others.
    ///
    /// # Errors
    ///
    /// [`FileError`] if it cannot be read.
    pub fn holds(&self, files: &Files) -> Result<bool, FileError> {
        let compare = || -> io::Result<bool> {
            let top = match Folder::open(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                top => top?,
            };
            Ok(self.marker.is_on(&top)? && !Comparison::of(&top, files, None)?.differs)
        };
        compare().map_err(|e| FileError::writing(&self.path, e))
    }

    /// Makes it hold these directories and nothing else; only what differs is touched.
    ///
    /// # Errors
    ///
    /// [`FileError`], also if the process has been told to stop; every file has its old contents
    /// or its new ones, and the next call writes the rest. A directory that has lost its marker is
    /// not written to.
    pub fn write(&self, folders: &Folders<'_>) -> Result<Replaced, FileError> {
        let mut at = self.path.clone();
        let mut writer = DirectWriter { options: self.options, is_written: false };
        let top = Folder::open(&self.path).map_err(|e| FileError::writing(&self.path, e))?;
        let mut write = || -> io::Result<()> {
            if !self.marker.is_on(&top)? {
                at.push(self.marker.name);
                return Err(io::ErrorKind::NotFound.into());
            }
            walk(&top, &Wanted::of_folders(folders)?, &mut writer, &mut at)
        };
        write().map_err(|e| FileError::writing(&at, e))?;
        top.require_folder_at(&self.path)?;
        Ok(if writer.is_written { Replaced::Written } else { Replaced::Unchanged })
    }

    /// Calls `show` for each change that [`OwnedDir::write`] would make; nothing is touched.
    ///
    /// # Errors
    ///
    /// [`FileError`] as for [`OwnershipMarker::claim`], and if `show` fails.
    pub fn preview(
        &self,
        adopt: bool,
        folders: &Folders<'_>,
        show: impl FnMut(Change) -> io::Result<()>,
    ) -> Result<(), FileError> {
        let compare = || -> io::Result<Option<()>> {
            let top = match Folder::open(&self.path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                top => Some(top?),
            };
            if let Some(top) = &top
                && !self.marker.may_be_put_on(top, adopt)?
            {
                return Ok(None);
            }
            Preview::show(top.as_ref(), &Wanted::of_folders(folders)?, show).map(Some)
        };
        self.marker.require_ours(&self.path, compare())
    }

    /// Writes the files that differ to a hidden directory, or all files if `is_whole` is
    /// set; `None` if none differs. The directory is created if it is missing.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the files are untouched, and nothing is left behind.
    pub fn stage(&self, files: &Files, is_whole: bool) -> Result<Option<StagedTree>, FileError> {
        self.marker.claim(&self.path, false)?;
        let staged = StagedTree::write(&self.path, &self.options, files, is_whole);
        staged.map_err(|e| FileError::writing(&self.path, e))
    }
}
