//! `zkexec`: a command with config files from ZooKeeper, restarted when they change,
//! one host at a time.
//!
//! `rollout` decides when new content is put in place and the child taken down for it;
//! `mirror` knows what ZooKeeper has and what is on the disk; what may keep us waiting is a
//! [turn](farm_core::farm::turn). `runner` does it all.

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
/// What kept the child from being started.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.log.start(Role::Wrapper);
    runner::Runner::start(args.config()?)?.run()
}
