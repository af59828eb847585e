//! Why the soak test failed.

use farm_harness::{StartError, ZkError};
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// An error of the soak test.
#[derive(Debug)]
pub(crate) enum SoakError {
    /// A signal: somebody pressed Ctrl-C or closed the terminal.
    Interrupted,
    /// A system call failed.
    System(io::Error),
    /// The servers could not be started.
    Servers(StartError),
    /// A request of an observer failed.
    Zk(ZkError),
    /// A record is not JSON.
    NotJson { what: String, why: String },
    /// An invariant was violated.
    Violated { what: String, after: Duration, timeline: String, log: String },
}

impl SoakError {
    /// The exit code for this error.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            // The code that a shell reports for a program that Ctrl-C killed.
            Self::Interrupted => 130,
            Self::System(_)
            | Self::Servers(_)
            | Self::Zk(_)
            | Self::NotJson { .. }
            | Self::Violated { .. } => 1,
        }
    }
}

impl fmt::Display for SoakError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted; everything is cleaned up"),
            Self::System(_) => f.write_str("a system call failed"),
            Self::Servers(error) => error.fmt(f),
            Self::Zk(_) => f.write_str("a request of an observer failed"),
            Self::NotJson { what, why } => write!(f, "cannot parse the record of {what}: {why}"),
            Self::Violated { what, after, timeline, log } => write!(
                f,
                "violation after {:.1} s: {what}\n--- timeline\n{timeline}\n--- log of the tool\n{log}",
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
            Self::Interrupted | Self::NotJson { .. } | Self::Violated { .. } => None,
        }
    }
}
