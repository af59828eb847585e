//! Why the demo did not come to its end.

use farm_harness::StartError;
use std::error::Error;
use std::fmt;
use std::io;

/// What stops the demo.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// Somebody pressed Ctrl-C, or the terminal is gone.
    Interrupted,
    /// The signals can't be listened to.
    Signals(io::Error),
    /// There is no ZooKeeper.
    Server(StartError),
    /// A command failed.
    Command {
        /// As it was shown.
        line: String,
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// What it said about it.
        stderr: String,
    },
    /// A tool that was to run on has ended.
    Ended {
        /// As it was shown.
        line: String,
        /// The end of its log.
        log: String,
    },
    /// An outcome was not seen in time.
    Unseen {
        /// What should have happened.
        what: String,
        /// What there was instead.
        seen: String,
        /// The end of every tool's log.
        logs: String,
    },
}

impl DemoError {
    /// The exit code for it.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            // As a shell tells of a program that Ctrl-C ended.
            Self::Interrupted => 130,
            Self::Signals(_)
            | Self::Server(_)
            | Self::Command { .. }
            | Self::Ended { .. }
            | Self::Unseen { .. } => 1,
        }
    }
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted; everything is cleaned up"),
            Self::Signals(_) => f.write_str("cannot listen for Ctrl-C"),
            Self::Server(error) => error.fmt(f),
            Self::Command { line, code: Some(code), stderr } => {
                write!(f, "`{line}` ended with code {code}\n{stderr}")
            }
            Self::Command { line, code: None, stderr } => {
                write!(f, "`{line}` was killed\n{stderr}")
            }
            Self::Ended { line, log } => write!(f, "`{line}` has ended; its log:\n{log}"),
            Self::Unseen { what, seen, logs } => {
                write!(f, "not seen in time: {what}\nseen instead: {seen}\n{logs}")
            }
        }
    }
}

impl Error for DemoError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Signals(error) => Some(error),
            Self::Server(error) => error.source(),
            Self::Interrupted | Self::Command { .. } | Self::Ended { .. } | Self::Unseen { .. } => {
                None
            }
        }
    }
}
