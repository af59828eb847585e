//! Why the benchmark failed.

use farm_harness::{StartError, ZkError};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// An error of the benchmark.
#[derive(Debug)]
pub(crate) enum BenchError {
    /// No row has a name that contains this text.
    NoSuchRow { name: String },
    /// The server could not be started.
    Start(StartError),
    /// A request of the bare client failed.
    Zk(ZkError),
    /// A file could not be read or written, or a program could not be started.
    Io { what: PathBuf, error: io::Error },
    /// A tool failed.
    Tool { line: String, status: ExitStatus },
    /// An expected outcome was not observed in time.
    TimedOut { expected: &'static str },
    /// A row has no samples.
    NoSamples,
    /// The server does not have the counter that a row needs.
    NotCounted { counter: String },
    /// A codec failed on a generated record.
    Codec(Box<dyn Error + Send + Sync>),
}

impl BenchError {
    /// Wraps an I/O error of this file or program.
    pub(super) fn io(what: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }

    /// Wraps the error of a codec.
    pub(super) fn codec(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Codec(Box::new(error))
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchRow { name } => write!(f, "no row has a name that contains {name:?}"),
            Self::Start(error) => error.fmt(f),
            Self::Zk(_) => f.write_str("the bare client failed"),
            Self::Io { what, .. } => write!(f, "cannot use {}", what.display()),
            Self::Tool { line, status } => write!(f, "`{line}` failed: {status}"),
            Self::TimedOut { expected } => write!(f, "timed out waiting for {expected}"),
            Self::NoSamples => f.write_str("no samples were taken"),
            Self::NotCounted { counter } => write!(f, "the server has no counter {counter}"),
            Self::Codec(_) => f.write_str("a codec failed on a generated record"),
        }
    }
}

impl Error for BenchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Start(error) => error.source(),
            Self::Zk(error) => Some(error),
            Self::Io { error, .. } => Some(error),
            Self::Codec(error) => Some(error.as_ref()),
            Self::NoSuchRow { .. }
            | Self::Tool { .. }
            | Self::TimedOut { .. }
            | Self::NoSamples
            | Self::NotCounted { .. } => None,
        }
    }
}

impl From<ZkError> for BenchError {
    fn from(error: ZkError) -> Self {
        Self::Zk(error)
    }
}
