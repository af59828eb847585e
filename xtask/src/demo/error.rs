//! Why the demo failed.

use farm_harness::StartError;
use std::error::Error;
use std::fmt;
use std::io;

/// An error of the demo.
#[derive(Debug)]
pub(crate) enum DemoError {
    /// A signal: somebody pressed Ctrl-C or closed the terminal.
    Interrupted,
    /// The signal handlers could not be installed.
    Signals(io::Error),
    /// ZooKeeper could not be started.
    Server(StartError),
    /// A command failed.
    Command {
        /// As it was displayed.
        line: String,
        /// Its exit code, unless a signal killed it.
        code: Option<i32>,
        /// Its error output.
        stderr: String,
    },
    /// A tool that should keep running has exited.
    Exited {
        /// As it was displayed.
        line: String,
        /// The last lines of its log.
        log: String,
    },
    /// An expected outcome was not observed in time.
    TimedOut {
        /// The expected outcome.
        expected: String,
        /// What was observed last.
        seen: String,
        /// The last lines of the log of every tool.
        logs: String,
    },
}

impl DemoError {
    /// The exit code for this error.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            // The code that a shell reports for a program that Ctrl-C killed.
            Self::Interrupted => 130,
            Self::Signals(_)
            | Self::Server(_)
            | Self::Command { .. }
            | Self::Exited { .. }
            | Self::TimedOut { .. } => 1,
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
            Self::Exited { line, log } => write!(f, "`{line}` has exited; its log:\n{log}"),
            Self::TimedOut { expected, seen, logs } => {
                write!(f, "timed out waiting for: {expected}\nlast seen: {seen}\n{logs}")
            }
        }
    }
}

impl Error for DemoError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Signals(error) => Some(error),
            Self::Server(error) => error.source(),
            Self::Interrupted
            | Self::Command { .. }
            | Self::Exited { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}
