//! Why there is no child.

use nix::errno::Errno;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;

/// Why a child could not be started.
#[derive(Debug)]
pub enum StartError {
    /// There is no such program.
    NotFound {
        /// As it was given.
        program: OsString,
        /// What the system said.
        cause: io::Error,
    },
    /// There is one, and it can't be run.
    NotExecutable {
        /// As it was given.
        program: OsString,
        /// What the system said.
        cause: io::Error,
    },
    /// The system has no process to give.
    NoProcess(io::Error),
    /// The child of before still lives.
    StillUp,
}

impl StartError {
    pub(super) fn new(program: &OsStr, cause: io::Error) -> Self {
        let program = program.to_owned();
        match cause.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) => Self::NotFound { program, cause },
            // Of fork and its surroundings, and of a text that is none to the system.
            Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ESRCH)
            | None => Self::NoProcess(cause),
            Some(_) => Self::NotExecutable { program, cause },
        }
    }

    /// The exit code by which shells tell of this.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::NoProcess(_) | Self::StillUp => 125,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { program, .. } | Self::NotExecutable { program, .. } => {
                write!(f, "cannot run {}", program.display())
            }
            Self::NoProcess(_) => write!(f, "cannot start a process"),
            Self::StillUp => write!(f, "the child is still up"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotFound { cause, .. }
            | Self::NotExecutable { cause, .. }
            | Self::NoProcess(cause) => Some(cause),
            Self::StillUp => None,
        }
    }
}
