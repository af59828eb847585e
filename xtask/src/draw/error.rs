//! Why there is no picture.

use super::run::RunError;
use farm_core::session::PathError;
use farm_harness::{StartError, ZkError};
use std::error::Error;
use std::fmt;
use std::io;

/// An error of recording or rendering.
#[derive(Debug)]
pub(crate) enum DrawError {
    /// A signal: somebody pressed Ctrl-C or closed the terminal.
    Interrupted,
    /// A thread could not be started, or the signal handlers not be installed.
    System(io::Error),
    /// ZooKeeper could not be started.
    Server(StartError),
    /// A request of the bare client failed.
    Zk(ZkError),
    /// The znode of the content has no valid path.
    Path(PathError),
    /// A zkexec has exited.
    Exited {
        /// The member.
        member: String,
        /// Its log.
        log: String,
    },
    /// A znode was written twice before it was read: the run has a gap.
    Missed {
        /// The member.
        member: String,
    },
    /// A member's znode has no state, or is gone.
    Untold {
        /// The member.
        member: String,
    },
    /// An expected state was not observed in time.
    TimedOut {
        /// The expected state.
        expected: String,
        /// What the members told last, and the logs.
        seen: String,
    },
    /// The recorded run can't be read.
    Run(RunError),
}

impl DrawError {
    /// The exit code for this error.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            // The code that a shell reports for a program that Ctrl-C killed.
            Self::Interrupted => 130,
            Self::System(_)
            | Self::Server(_)
            | Self::Zk(_)
            | Self::Path(_)
            | Self::Exited { .. }
            | Self::Missed { .. }
            | Self::Untold { .. }
            | Self::TimedOut { .. }
            | Self::Run(_) => 1,
        }
    }
}

impl fmt::Display for DrawError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted; nothing was recorded"),
            Self::System(_) => f.write_str("cannot start recording"),
            Self::Server(error) => error.fmt(f),
            Self::Zk(_) => f.write_str("the bare client failed"),
            Self::Path(error) => error.fmt(f),
            Self::Exited { member, log } => write!(f, "{member} has exited; its log:\n{log}"),
            Self::Missed { member } => write!(
                f,
                "{member} wrote its znode again before it was read: this machine is too busy to \
                 record a run"
            ),
            Self::Untold { member } => write!(f, "the znode of {member} has no state"),
            Self::TimedOut { expected, seen } => {
                write!(f, "timed out waiting for: {expected}\nlast seen: {seen}")
            }
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl Error for DrawError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Server(error) => error.source(),
            Self::Zk(error) => Some(error),
            Self::Path(error) => error.source(),
            Self::Run(error) => error.source(),
            Self::Interrupted
            | Self::Exited { .. }
            | Self::Missed { .. }
            | Self::Untold { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}

impl From<ZkError> for DrawError {
    fn from(error: ZkError) -> Self {
        Self::Zk(error)
    }
}

impl From<RunError> for DrawError {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}
