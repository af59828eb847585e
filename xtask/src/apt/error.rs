//! Why a package could not be installed or unpacked.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of installing or unpacking packages.
#[derive(Debug)]
pub(crate) enum AptError {
    /// A program could not be started. This is probably not a Debian system.
    NotStarted { program: PathBuf, error: io::Error },
    /// A program failed. `message` is the last line of its error output.
    Failed { line: String, message: String },
    /// A file could not be read or written.
    Io { path: PathBuf, error: io::Error },
}

impl AptError {
    /// Wraps an I/O error of this file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self::Io { path, error }
    }
}

impl fmt::Display for AptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, .. } => write!(f, "cannot run {}", program.display()),
            Self::Failed { line, message } => write!(f, "`{line}` failed ({message})"),
            Self::Io { path, .. } => write!(f, "cannot read or write {}", path.display()),
        }
    }
}

impl Error for AptError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted { error, .. } | Self::Io { error, .. } => Some(error),
            Self::Failed { .. } => None,
        }
    }
}
