//! Why a package could not be had.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What stops apt.
#[derive(Debug)]
pub(crate) enum AptError {
    /// A program could not be started: probably not a Debian.
    NotStarted { program: PathBuf, error: io::Error },
    /// A program failed; `said` is the last line of its complaint.
    Failed { line: String, said: String },
    /// A file could not be read or written.
    Io { path: PathBuf, error: io::Error },
}

impl AptError {
    /// Makes an error of one about a file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |error| Self::Io { path, error }
    }
}

impl fmt::Display for AptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, .. } => write!(f, "cannot run {}", program.display()),
            Self::Failed { line, said } => write!(f, "`{line}` failed ({said})"),
            Self::Io { path, .. } => write!(f, "trouble with {}", path.display()),
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
