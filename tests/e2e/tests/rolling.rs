//! `zkexec --lock`: rolling restarts, observed from outside.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod cut_off;
mod fixture;
mod group;
mod leaving;
mod observer;
mod paused;
mod preconditions;
mod queue;
mod six_members;
mod storm;

/// Prints a measurement or a seed to the test's output.
#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
fn print(what: &str) {
    eprintln!("{what}");
}
