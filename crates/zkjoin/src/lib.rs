//! `zkjoin`: this host is part of a farm.
//!
//! [`member`] decides, [`runner`] does: the machine of the two-way sync knows
//! neither ZooKeeper nor the disk.

mod announce;
mod entry;
mod local;
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
    args.log.start(Role::Daemon);
    let config = args.config()?;
    runner::Runner::start(config)?.run()
}
