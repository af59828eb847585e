//! Steps that say what they do and how long it took.

use std::io::{self, Write as _};
use std::time::Instant;

/// Writes a line to standard error.
pub(crate) fn say(line: &str) {
    // With nobody left to read it, the exit code still tells the outcome.
    drop(writeln!(io::stderr(), "{line}"));
}

/// Does a step, announced before and timed after.
pub(crate) fn step<T, E>(name: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    say(&format!("==> {name}"));
    let start = Instant::now();
    let outcome = work();
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    say(&format!("<== {name}: {word} ({:.1} s)", start.elapsed().as_secs_f64()));
    outcome
}
