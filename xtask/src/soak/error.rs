//! Why a soak did not come to its end.

use farm_harness::{StartError, ZkError};
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// What stops the soak.
#[derive(Debug)]
pub(crate) enum SoakError {
    /// Somebody pressed Ctrl-C, or the terminal is gone.
    Interrupted,
    /// Signals can't be listened to, or no thread is to be had.
    System(io::Error),
    /// There is no ZooKeeper.
    Servers(StartError),
    /// The observer was refused.
    Zk(ZkError),
    /// Something that should be JSON is not.
    Unread { what: String, why: String },
    /// What must hold does not.
    Broken { what: String, after: Duration, timeline: String, log: String },
}

impl SoakError {
    /// The exit code for it.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            // As a shell tells of a program that Ctrl-C ended.
            Self::Interrupted => 130,
            Self::System(_)
            | Self::Servers(_)
            | Self::Zk(_)
            | Self::Unread { .. }
            | Self::Broken { .. } => 1,
        }
    }
}

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted; everything is cleaned up"),
            Self::System(_) => f.write_str("the system said no"),
            Self::Servers(error) => error.fmt(f),
            Self::Zk(_) => f.write_str("the observer failed"),
            Self::Unread { what, why } => write!(f, "{what} makes no sense: {why}"),
            Self::Broken { what, after, timeline, log } => write!(
                f,
                "broken after {:.1} s: {what}\n--- what went before\n{timeline}\n--- the tool's log\n{log}",
                after.as_secs_f64()
            ),
        }
    }
}

impl Error for SoakError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            Self::Servers(error) => error.source(),
            Self::Zk(error) => Some(error),
            Self::Interrupted | Self::Unread { .. } | Self::Broken { .. } => None,
        }
    }
}
