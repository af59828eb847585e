//! `zkexec --lock`: rolling restarts, observed from outside.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod boots;
mod canary;
mod cut_off;
mod failed;
mod fixture;
mod fleet;
mod group;
mod group_state;
mod ids;
mod late_verdicts;
mod leaving;
mod many;
mod no_fault;
mod nonsense;
mod observer;
mod permissions;
mod preconditions;
mod queue;
mod refused;
mod restarts;
mod ruby;
mod six_members;
mod steering;
mod storm;
mod storm_of_orders;
mod untold;
mod waits;

/// Prints a measurement or a seed to the test's output.
#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
fn print(what: &str) {
    eprintln!("{what}");
}
