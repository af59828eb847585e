//! Why a task failed.

use crate::bench::BenchError;
use crate::command::CommandError;
use crate::demo::DemoError;
use crate::draw::DrawError;
use crate::provision::ProvisionError;
use crate::soak::SoakError;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The error of any task.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A command failed; its code becomes ours.
    Command(CommandError),
    /// Something could not be read or written.
    Io { what: PathBuf, error: io::Error },
    /// Java, ZooKeeper or PHP is missing and can't be installed.
    Provision(ProvisionError),
    /// The benchmark failed.
    Bench(BenchError),
    /// The demo failed or was interrupted.
    Demo(DemoError),
    /// The drawing could not be recorded or rendered.
    Draw(DrawError),
    /// The soak test failed or was interrupted.
    Soak(SoakError),
    /// The repository breaks some of tidy's rules.
    Untidy { complaints: usize },
    /// A tool is built with a crate or a feature that it must not need.
    NotLean { tool: &'static str, excess: String },
    /// No end-to-end test has a name that contains this text.
    NoSuchTest { name: String },
    /// Some of the repeated runs failed.
    Flaky { failed: u32, runs: u32 },
    /// The development server is not running.
    NoServer,
    /// The development server did not start.
    ServerDown { log: PathBuf },
}

impl Failure {
    /// The exit code for this failure.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Command(error) => error.code(),
            Self::Demo(error) => error.code(),
            Self::Draw(error) => error.code(),
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

    /// Wraps an I/O error of this file.
    pub(crate) fn io(what: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(error) => error.fmt(f),
            Self::Io { what, .. } => write!(f, "cannot read or write {}", what.display()),
            Self::Provision(error) => error.fmt(f),
            Self::Bench(error) => error.fmt(f),
            Self::Demo(error) => error.fmt(f),
            Self::Draw(error) => error.fmt(f),
            Self::Soak(error) => error.fmt(f),
            Self::Untidy { complaints } => write!(f, "tidy found {complaints} problems"),
            Self::NotLean { tool, excess } => write!(f, "{tool} must not be built with {excess}"),
            Self::NoSuchTest { name } => {
                write!(f, "no end-to-end test has a name that contains {name:?}")
            }
            Self::Flaky { failed, runs } => write!(f, "{failed} of {runs} runs failed"),
            Self::NoServer => {
                f.write_str("the server is not running; `cargo xtask zk up` starts it")
            }
            Self::ServerDown { log } => {
                write!(f, "the server did not start; its log is {}", log.display())
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
            Self::Draw(error) => error.source(),
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

impl From<DrawError> for Failure {
    fn from(error: DrawError) -> Self {
        Self::Draw(error)
    }
}

impl From<SoakError> for Failure {
    fn from(error: SoakError) -> Self {
        Self::Soak(error)
    }
}
