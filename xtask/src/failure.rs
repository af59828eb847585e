//! Why a chore failed.

use crate::bench::BenchError;
use crate::command::CommandError;
use crate::demo::DemoError;
use crate::provision::ProvisionError;
use crate::soak::SoakError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What stops a chore.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A command failed; its code becomes ours.
    Command(CommandError),
    /// Something could not be read or written.
    Io { what: PathBuf, error: io::Error },
    /// A tool is missing and can't be fetched.
    Provision(ProvisionError),
    /// A row of the bench could not be measured.
    Bench(BenchError),
    /// The demo did not come to its end.
    Demo(DemoError),
    /// The soak did not come to its end.
    Soak(SoakError),
    /// The repository is not as it should be.
    Untidy { complaints: usize },
    /// A tool is built with what it must not need.
    NotLean { tool: &'static str, excess: String },
    /// No test has such a name.
    NoSuchTest { name: String },
    /// Some of the repeated runs failed.
    Flaky { failed: u32, runs: u32 },
    /// No development server runs.
    NoServer,
    /// The development server did not come up.
    ServerDown { log: PathBuf },
}

impl Failure {
    /// The exit code for it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Command(error) => error.code(),
            Self::Demo(error) => error.code(),
            Self::Soak(error) => error.code(),
            Self::Io { .. }
            | Self::Provision(_)
            | Self::Bench(_)
            | Self::Untidy { .. }
            | Self::NotLean { .. }
            | Self::NoSuchTest { .. }
            | Self::Flaky { .. }
            | Self::NoServer
            | Self::ServerDown { .. } => 1,
        }
    }

    /// Makes a failure of an error about a file.
    pub(crate) fn io(what: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => error.fmt(f),
            Self::Io { what, .. } => write!(f, "trouble with {}", what.display()),
            Self::Provision(error) => error.fmt(f),
            Self::Bench(error) => error.fmt(f),
            Self::Demo(error) => error.fmt(f),
            Self::Soak(error) => error.fmt(f),
            Self::Untidy { complaints } => write!(f, "{complaints} complaints"),
            Self::NotLean { tool, excess } => write!(f, "{tool} is built with {excess}"),
            Self::NoSuchTest { name } => write!(f, "no e2e test has {name:?} in its name"),
            Self::Flaky { failed, runs } => write!(f, "{failed} of {runs} runs failed"),
            Self::NoServer => f.write_str("no server; `cargo xtask zk up` starts one"),
            Self::ServerDown { log } => {
                write!(f, "the server did not come up; its log is {}", log.display())
            }
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Command(error) => error.source(),
            Self::Io { error, .. } => Some(error),
            Self::Provision(error) => error.source(),
            Self::Bench(error) => error.source(),
            Self::Demo(error) => error.source(),
            Self::Soak(error) => error.source(),
            Self::Untidy { .. }
            | Self::NotLean { .. }
            | Self::NoSuchTest { .. }
            | Self::Flaky { .. }
            | Self::NoServer
            | Self::ServerDown { .. } => None,
        }
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<ProvisionError> for Failure {
    fn from(error: ProvisionError) -> Self {
        Self::Provision(error)
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self::Bench(error)
    }
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::Demo(error)
    }
}

impl From<SoakError> for Failure {
    fn from(error: SoakError) -> Self {
        Self::Soak(error)
    }
}
