//! Why there is no child.

use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::io;

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such program.
    #[error("cannot run {}", .program.display())]
    NotFound {
        /// As it was given.
        program: OsString,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// There is one, and it can't be run.
    #[error("cannot run {}", .program.display())]
    NotExecutable {
        /// As it was given.
        program: OsString,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The system has no process to give.
    #[error("cannot start a process")]
    NoProcess(#[source] io::Error),
    /// The child of before still lives.
    #[error("the child is still up")]
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
