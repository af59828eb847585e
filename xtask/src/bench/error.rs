//! Why a row could not be measured.

use farm_harness::{StartError, ZkError};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What stops the bench.
#[derive(Debug)]
pub(crate) enum BenchError {
    /// No row has such a name.
    NoSuchRow { name: String },
    /// No server to measure with.
    Start(StartError),
    /// The bare client was refused.
    Zk(ZkError),
    /// Something could not be read, written or started.
    Io { what: PathBuf, error: io::Error },
    /// A tool ended badly.
    Tool { line: String, said: String },
    /// An outcome did not come.
    NotSeen { what: &'static str },
    /// The server does not count what a row is about.
    NotCounted { counter: String },
    /// A codec refused what the bench made up.
    Codec(Box<dyn Error + Send + Sync>),
}

impl BenchError {
    /// Makes one of an error about a file or program.
    pub(super) fn io(what: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }

    /// Makes one of a codec's error.
    pub(super) fn codec(error: impl Error + Send + Sync + 'static) -> Self {
        Self::Codec(Box::new(error))
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchRow { name } => write!(f, "no row has {name:?} in its name"),
            Self::Start(error) => error.fmt(f),
            Self::Zk(_) => f.write_str("the bare client failed"),
            Self::Io { what, .. } => write!(f, "trouble with {}", what.display()),
            Self::Tool { line, said } => write!(f, "`{line}` failed, saying {said:?}"),
            Self::NotSeen { what } => write!(f, "not seen in time: {what}"),
            Self::NotCounted { counter } => write!(f, "the server has no {counter}"),
            Self::Codec(_) => f.write_str("a made-up record was refused"),
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
            | Self::NotSeen { .. }
            | Self::NotCounted { .. } => None,
        }
    }
}

impl From<ZkError> for BenchError {
    fn from(error: ZkError) -> Self {
        Self::Zk(error)
    }
}
