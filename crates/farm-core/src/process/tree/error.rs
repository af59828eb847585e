//! Errors of starting a child or a command.

use nix::errno::Errno;
use std::ffi::{OsStr, OsString};
use std::io;

/// Why a child or a command could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no such program.
    #[error("cannot run {}", .program.display())]
    NotFound {
        /// The program as it was given.
        program: OsString,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The program exists, but it can't be run.
    #[error("cannot run {}", .program.display())]
    NotExecutable {
        /// The program as it was given.
        program: OsString,
        /// The error of the system.
        #[source]
        cause: io::Error,
    },
    /// The system could not create a process.
    #[error("cannot start a process")]
    NoProcess(#[from] io::Error),
    /// The previous child is not reaped yet.
    #[error("the child is still up")]
    StillUp,
}

impl StartError {
    pub(in crate::process) fn new(program: &OsStr, cause: io::Error) -> Self {
        let program = program.to_owned();
        match cause.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) => Self::NotFound { program, cause },
            // Errors of fork(2) and of what precedes it; no errno means a NUL in an argument.
            Some(Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ESRCH)
            | None => Self::NoProcess(cause),
            Some(_) => Self::NotExecutable { program, cause },
        }
    }

    /// The exit code that a shell reports for this error.
    #[must_use]
    pub const fn exit(&self) -> u8 {
        match self {
            Self::NotFound { .. } => 127,
            Self::NotExecutable { .. } => 126,
            Self::NoProcess(_) | Self::StillUp => 125,
        }
    }
}
