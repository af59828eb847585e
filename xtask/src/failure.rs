//! Why a chore failed.

use crate::bench::BenchError;
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
    /// A command ended badly; its code becomes ours.
    Command { line: String, code: Option<i32> },
    /// Something could not be read, written or started.
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
            Self::Command { code: Some(code), .. } => u8::try_from(*code).unwrap_or(1),
            Self::Demo(error) => error.code(),
            Self::Soak(error) => error.code(),
            Self::Command { code: None, .. }
            | Self::Io { .. }
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

    /// Makes a failure of an error about a file or program.
    pub(crate) fn io(what: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |error| Self::Io { what, error }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { line, code: Some(code) } => {
                write!(f, "`{line}` ended with code {code}")
            }
            Self::Command { line, code: None } => write!(f, "`{line}` was killed"),
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
            Self::Io { error, .. } => Some(error),
            Self::Provision(error) => error.source(),
            Self::Bench(error) => error.source(),
            Self::Demo(error) => error.source(),
            Self::Soak(error) => error.source(),
            Self::Command { .. }
            | Self::Untidy { .. }
            | Self::NotLean { .. }
            | Self::NoSuchTest { .. }
            | Self::Flaky { .. }
            | Self::NoServer
            | Self::ServerDown { .. } => None,
        }
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self::Bench(error)
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
