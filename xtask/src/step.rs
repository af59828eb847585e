//! Steps that say what they do and how long it took.

use crate::failure::Failure;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Writes a line to standard error.
pub(crate) fn say(line: &str) {
    // With nobody left to read it, the exit code still tells the outcome.
    drop(writeln!(io::stderr(), "{line}"));
}

/// Does a step, announced before and timed after.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    say(&format!("==> {name}"));
    let start = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    say(&format!("<== {name}: {word} ({:.1} s)", start.elapsed().as_secs_f64()));
    outcome
}

/// Runs a command on our own streams.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let status =
        command.stdin(Stdio::null()).status().map_err(Failure::io(command.get_program()))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Command { line: line_of(command), code: status.code() })
}

/// The command as one would type it.
pub(crate) fn line_of(command: &Command) -> String {
    let mut line = command.get_program().display().to_string();
    for argument in command.get_args() {
        // Only fails when the argument can't be shown.
        write!(line, " {}", argument.display()).unwrap_or_default();
    }
    // What a reader would type has no guard in front of it.
    match line.split_once("--pdeathsig KILL -- ") {
        Some((_, rest)) => rest.to_owned(),
        None => line,
    }
}
