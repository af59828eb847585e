//! Commands that share the standard streams of the task.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum CommandError {
    /// The program could not be started.
    NotStarted { program: PathBuf, error: io::Error },
    /// The command failed. There is no exit code if a signal killed it.
    Failed { line: String, code: Option<i32> },
}

impl CommandError {
    /// Wraps the error of starting this command.
    pub(crate) fn not_started(command: &Command) -> impl FnOnce(io::Error) -> Self {
        let program = command.get_program().into();
        |error| Self::NotStarted { program, error }
    }

    /// The exit code of the task: that of the command.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Failed { code: Some(code), .. } => u8::try_from(*code).unwrap_or(1),
            Self::Failed { code: None, .. } | Self::NotStarted { .. } => 1,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, .. } => write!(f, "cannot run {}", program.display()),
            Self::Failed { line, code: Some(code) } => write!(f, "`{line}` ended with code {code}"),
            Self::Failed { line, code: None } => write!(f, "`{line}` was killed"),
        }
    }
}

impl Error for CommandError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotStarted { error, .. } => Some(error),
            Self::Failed { .. } => None,
        }
    }
}

/// Runs a command until it exits.
pub(crate) fn run(command: &mut Command) -> Result<(), CommandError> {
    let status = command.stdin(Stdio::null()).status();
    let status = status.map_err(CommandError::not_started(command))?;
    if status.success() {
        return Ok(());
    }
    Err(CommandError::Failed { line: line_of(command), code: status.code() })
}

/// The command as a user would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().display().to_string();
    for argument in command.get_args() {
        // Writing to a string does not fail.
        write!(line, " {}", argument.display()).unwrap_or_default();
    }
    // `setpriv` only makes sure that the command is killed with the task.
    match line.split_once("--pdeathsig KILL -- ") {
        Some((_, rest)) => rest.to_owned(),
        None => line,
    }
}
