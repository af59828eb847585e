//! `zkjoin`: registers this host in a farm.
//!
//! [`member`] decides, [`runner`] acts: the state machine of the two-way sync knows
//! neither ZooKeeper nor the disk.

mod announce;
mod entry;
mod local_conf;
mod looker;
mod member;
mod name;
mod options;
mod runner;
mod status;
mod timers;
mod warnings;

pub use options::Args;

use farm_core::cli::{Exit, Failure, Role};

/// Runs until a signal or a permanent refusal ends it.
///
/// # Errors
///
/// What ended it, with its exit code.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.log.start(Role::Daemon)?;
    let config = args.config()?;
    runner::Runner::start(config)?.run()
}
