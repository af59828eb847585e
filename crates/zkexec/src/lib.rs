//! `zkexec` runs a command with config files from ZooKeeper and restarts it when they change,
//! one host at a time.
//!
//! `mirror` reads the znodes and writes the files. `rollout` decides when new content is put in
//! place and when the child is restarted. A [turn](farm_core::farm::turn) waits for the lock and
//! the gates. `runner` is the main loop that connects them.

mod mirror;
mod options;
mod rollout;
mod runner;
mod status;

pub use options::Args;

use farm_core::cli::{Exit, Failure, Role};

/// Runs until the child has ended.
///
/// # Errors
///
/// Why the child could not be started.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.log.start(Role::Wrapper)?;
    runner::Runner::start(args.config()?)?.run()
}
