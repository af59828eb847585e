//! `zkexec --lock`: rolling restarts, as they look from outside.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod crowd;
mod cut_off;
mod eye;
mod gates;
mod group;
mod leaving;
mod line;
mod paused;
mod site;
mod storm;

/// Tells what was measured, or a seed, to whoever looks at a test's output.
#[expect(clippy::print_stderr, reason = "the test's own output, shown on demand")]
fn tell(what: &str) {
    eprintln!("{what}");
}
