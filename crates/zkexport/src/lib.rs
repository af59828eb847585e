//! `zkexport`: keeps a file equal to all hosts of a farm.
//!
//! [`mirror`] decides when to write the file and with which hosts, [`runner`] acts: the
//! state machine knows neither ZooKeeper nor the disk.

mod announce;
mod check;
mod difference;
mod directory;
mod hold;
mod hosts;
mod mirror;
mod options;
mod output;
mod preview;
mod runner;
mod status;
mod target;
mod view;

pub use options::Args;

use farm_core::cli::{Exit, Failure, Role};

/// Runs until a signal or a permanent refusal ends it, or until one file is written.
///
/// # Errors
///
/// What ended it, with its exit code.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.log.start(if args.is_once() { Role::Command } else { Role::Daemon })?;
    let config = args.config()?;
    runner::Runner::start(config)?.run()
}
