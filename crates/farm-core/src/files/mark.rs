//! The mark on a directory that one of our tools writes alone.
//!
//! **Invariant.** A directory with somebody else's files gets no mark unless its
//! owner says so.

use super::file::StoreError;
use super::folder::{Folder, Kind};
use super::manner::Manner;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file that says whose a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its name, a hidden one.
    pub name: &'static str,
    /// What a person finds in it.
    pub text: &'static [u8],
}

/// Why a directory can't be ours.
#[derive(Debug)]
pub enum ClaimError {
    /// It holds something, and not our mark.
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What it would have to hold.
        mark: &'static str,
    },
    /// It is no directory.
    NotADirectory(PathBuf),
    /// The system said no.
    Store(StoreError),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs { path, mark } => {
                write!(f, "{} is not empty and has no file {mark}", path.display())
            }
            Self::NotADirectory(path) => write!(f, "{} is not a directory", path.display()),
            Self::Store(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for ClaimError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotOurs { .. } | Self::NotADirectory(_) => None,
            Self::Store(e) => e.source(),
        }
    }
}

impl Mark {
    /// Makes the directory, or takes one that is empty or has the mark; with
    /// `adopt` any other one too.
    ///
    /// # Errors
    ///
    /// [`ClaimError::NotOurs`] for a directory with somebody else's files, which
    /// is left as it is.
    pub fn claim(&self, path: &Path, adopt: bool) -> Result<(), ClaimError> {
        self.verdict(path, self.put_on(path, adopt).map(|is_on| is_on.then_some(())))
    }

    /// What came of a look at a directory; `None` for one that is somebody else's.
    pub(super) fn verdict<T>(
        &self,
        path: &Path,
        outcome: io::Result<Option<T>>,
    ) -> Result<T, ClaimError> {
        let path = path.to_owned();
        match outcome {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(ClaimError::NotOurs { path, mark: self.name }),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                Err(ClaimError::NotADirectory(path))
            }
            Err(e) => Err(ClaimError::Store(StoreError::io(&path, e))),
        }
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
            folder.replace_as(OsStr::new(self.name), self.text, &Manner::default())?;
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
