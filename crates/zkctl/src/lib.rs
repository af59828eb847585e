//! List, read and change ZooKeeper farms in shell pipelines.
//!
//! **Invariant.** Every command checks its arguments before it connects, opens one
//! session, and writes to stdout only when it has the whole answer.

mod commands;
mod connection;
mod format;
mod output;
mod stdin;

use clap::{Parser, Subcommand};
use commands::{CheckArgs, GetArgs, LocksArgs, LsArgs, PutArgs, RolloutArgs, SetArgs, UnsetArgs};
use connection::Connection;
use farm_core::cli::{CONNECTION, Exit, Failure, LogArgs, Role, ZkArgs, parse_limit};
use format::OutputArgs;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  zkctl ls /services/db
  zkctl ls /services/db --fields hostname,enabled -F 'enabled=1'
  zkctl get /services/db/1.2.3.4 mysql.replication_delay
  zkctl set /services/db/1.2.3.4 enabled 1
  zkctl unset /services/db/1.2.3.4 maintenance
  zkctl put /conf/app app.conf
  zkctl check /services/db -c 25%
  zkctl locks services/db
  zkctl rollout status services/db";

/// List, read and change the hosts of a farm
#[derive(Debug, Parser)]
#[command(name = "zkctl", version, before_help = EXAMPLES)]
#[command(arg_required_else_help = false)]
pub struct Args {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    zk: ZkArgs,

    /// Limit the whole command to this time; 0 means no limit
    #[arg(short, long, value_name = "DUR", env = "ZK_TIMEOUT", hide_env_values = true)]
    #[arg(global = true)]
    #[arg(default_value = "10s", value_parser = parse_limit, help_heading = CONNECTION)]
    timeout: Duration,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    log: LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(LsArgs),
    Get(GetArgs),
    Set(SetArgs),
    Unset(UnsetArgs),
    Put(PutArgs),
    Check(CheckArgs),
    Locks(LocksArgs),
    Rollout(RolloutArgs),
}

/// Runs one command.
///
/// # Errors
///
/// A [`Failure`] with the error message and the exit code.
pub fn run(args: Args) -> Result<Exit, Failure> {
    args.log.start(Role::Command)?;
    let (connection, output) = (Connection::new(args.zk, args.timeout), args.output);
    match args.command {
        Command::Ls(ls) => commands::ls(&ls, output, &connection),
        Command::Get(get) => commands::get(&get, output, &connection),
        Command::Set(set) => {
            output.refuse_all("set").and_then(|()| commands::set(&set, &connection))
        }
        Command::Unset(unset) => {
            output.refuse_all("unset").and_then(|()| commands::unset(&unset, &connection))
        }
        Command::Put(put) => {
            output.refuse_all("put").and_then(|()| commands::put(&put, &connection))
        }
        Command::Check(check) => {
            commands::check(&check, output, args.log.is_verbose(), &connection)
        }
        Command::Locks(locks) => commands::locks(&locks, output, &connection),
        Command::Rollout(rollout) => commands::rollout(&rollout, output, &connection),
    }
}
