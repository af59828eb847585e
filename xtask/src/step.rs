//! Steps that are announced and timed.

use std::io::{self, Write as _};
use std::time::Instant;

/// Writes a line to standard error.
pub(crate) fn eprint_line(line: &str) {
    // If nobody reads standard error any more, the exit code still tells the outcome.
    drop(writeln!(io::stderr(), "{line}"));
}

/// Runs a step: prints its name before, and the outcome and the time after.
pub(crate) fn step<T, E>(name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    eprint_line(&format!("==> {name}"));
    let start = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    eprint_line(&format!("<== {name}: {word} ({:.1} s)", start.elapsed().as_secs_f64()));
    outcome
}
