//! The mark on a directory that one of our tools writes alone.
//!
//! **Invariant.** A directory with somebody else's files gets no mark unless its
//! owner says so.

use super::error::{Fault, FileError};
use super::folder::{Folder, Kind};
use super::write_options::WriteOptions;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// A file that says whose a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnershipMarker {
    /// Its name, a hidden one.
    pub name: &'static str,
    /// What a person finds in it.
    pub text: &'static [u8],
}

impl OwnershipMarker {
    /// Makes the directory, or takes one that is empty or has the mark; with
    /// `adopt` any other one too.
    ///
    /// # Errors
    ///
    /// [`Fault::NotOurs`] for a directory with somebody else's files, which is left as
    /// it is.
    pub fn claim(&self, path: &Path, adopt: bool) -> Result<(), FileError> {
        self.verdict(path, self.put_on(path, adopt).map(|is_on| is_on.then_some(())))
    }

    /// What came of a look at a directory; `None` for one that is somebody else's.
    pub(super) fn verdict<T>(
        &self,
        path: &Path,
        outcome: io::Result<Option<T>>,
    ) -> Result<T, FileError> {
        let found = outcome.map_err(|e| FileError::writing(path, Fault::of_directory(e)))?;
        found.ok_or_else(|| FileError::writing(path, Fault::NotOurs { marker: self.name }))
    }

    fn put_on(&self, path: &Path, adopt: bool) -> io::Result<bool> {
        match std::fs::create_dir(path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
        let folder = Folder::open(path)?;
        let may_be = self.may_be_put_on(&folder, adopt)?;
        if may_be && !self.is_on(&folder)? {
            folder.replace_as(OsStr::new(self.name), self.text, &WriteOptions::default())?;
        }
        Ok(may_be)
    }

    /// Whether it is on a directory, or nobody is in the way of it there.
    pub(super) fn may_be_put_on(&self, folder: &Folder, adopt: bool) -> io::Result<bool> {
        Ok(adopt || self.is_on(folder)? || folder.names(0)?.is_some())
    }

    pub(super) fn is_on(&self, folder: &Folder) -> io::Result<bool> {
        Ok(folder.kind(OsStr::new(self.name))? == Some(Kind::File))
    }
}
