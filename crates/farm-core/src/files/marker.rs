//! The marker in a directory that only one of our tools writes.
//!
//! **Invariant.** A directory with other files gets no marker, unless the user asks to
//! adopt it.

use super::error::{Fault, FileError};
use super::folder::Folder;
use super::kind::Kind;
use super::write_options::WriteOptions;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

/// A file that says which tool owns a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnershipMarker {
    /// Its name, which starts with a dot.
    pub name: &'static str,
    /// Its contents, for people.
    pub text: &'static [u8],
}

impl OwnershipMarker {
    /// Creates the directory, or claims one that is empty or has the marker; with
    /// `adopt` any other one too.
    ///
    /// # Errors
    ///
    /// [`Fault::NotOurs`] for a directory with other files, which is not touched.
    pub fn claim(&self, path: &Path, adopt: bool) -> Result<(), FileError> {
        self.require_ours(path, self.put_on(path, adopt).map(|is_on| is_on.then_some(())))
    }

    /// Turns `None`, for a directory that is not ours, into an error.
    pub(super) fn require_ours<T>(
        &self,
        path: &Path,
        outcome: io::Result<Option<T>>,
    ) -> Result<T, FileError> {
        let found = outcome.map_err(|e| FileError::writing(path, Fault::of_directory(e)))?;
        found.ok_or_else(|| FileError::writing(path, Fault::NotOurs { marker: self.name }))
    }

    fn put_on(&self, path: &Path, adopt: bool) -> io::Result<bool> {
        let folder = Folder::open_or_make(path)?;
        let may_be = self.may_be_put_on(&folder, adopt)?;
        if may_be && !self.is_on(&folder)? {
            folder.replace_as(OsStr::new(self.name), self.text, &WriteOptions::default())?;
        }
        Ok(may_be)
    }

    /// Whether the directory has the marker, is empty, or is to be adopted.
    pub(super) fn may_be_put_on(&self, folder: &Folder, adopt: bool) -> io::Result<bool> {
        Ok(adopt || self.is_on(folder)? || folder.names(0)?.is_some())
    }

    pub(super) fn is_on(&self, folder: &Folder) -> io::Result<bool> {
        Ok(folder.kind(OsStr::new(self.name))? == Some(Kind::File))
    }
}
