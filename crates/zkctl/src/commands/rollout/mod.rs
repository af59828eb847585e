//! `zkctl rollout`: seeing and steering the rolling restarts of a group.
//!
//! **Invariant.** Every change of the group's state is a compare-and-set against what was read.

mod contents;
#[cfg(test)]
mod fixture;
mod history;
mod judgement;
mod live;
mod look;
mod orders;
mod pause;
mod picture;
mod restart;
mod retry;
mod skip;
mod status;
mod summary;
mod target;
mod wait;
mod watch;
mod wording;

use crate::connection::Connection;
use crate::format::OutputArgs;
use clap::{Args, Subcommand};
use farm_core::cli::{Exit, Failure};
use history::HistoryArgs;
use pause::{PauseArgs, ResumeArgs};
use restart::RestartArgs;
use retry::RetryArgs;
use skip::SkipArgs;
use status::StatusArgs;
use wait::WaitArgs;

const EXAMPLES: &str = "\
Examples:
  zkctl rollout status
  zkctl rollout status app
  zkctl rollout wait app --for 10m
  zkctl rollout restart app --why 'new OpenSSL'
  zkctl rollout pause app
  zkctl rollout resume app --ignore-hours 2h
  zkctl rollout retry app
  zkctl rollout skip app web-3
  zkctl rollout history app";

/// See and steer the rolling restarts of a group
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, arg_required_else_help = false)]
pub(crate) struct RolloutArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(StatusArgs),
    Wait(WaitArgs),
    Restart(RestartArgs),
    Pause(PauseArgs),
    Resume(ResumeArgs),
    Retry(RetryArgs),
    Skip(SkipArgs),
    History(HistoryArgs),
}

pub(crate) fn rollout(
    args: &RolloutArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    match &args.command {
        Command::Status(args) => status::status(args, output, connection),
        Command::Wait(args) => wait::wait(args, output, connection),
        Command::Restart(args) => restart::restart(args, output, connection),
        Command::Pause(args) => pause::pause(args, output, connection),
        Command::Resume(args) => pause::resume(args, output, connection),
        Command::Retry(args) => retry::retry(args, output, connection),
        Command::Skip(args) => skip::skip(args, output, connection),
        Command::History(args) => history::history(args, output, connection),
    }
}
