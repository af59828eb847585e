//! What every binary shares on its command line: options, exit codes, errors, logging.
//!
//! **Invariant.** Only this layer writes to stderr, and only
//! [`launch`] ends a process.

mod args;
mod dash_value;
mod exit;
mod exit_reason;
mod failure;
mod input_file;
mod launch;
mod log_rate;
mod logging;
mod notify;
mod plugin;
mod stderr_queue;
mod stdout;

pub use crate::engine::{chain, is_unprintable, printable, printable_lines, single_line};
pub use args::{
    CONNECTION, ChangedCmdArg, CmdTimeoutArg, DurationError, FilterArg, FormatArg, LogArgs,
    ParseArg, Role, TimedCommand, WaitArg, ZkArgs, parse_duration, parse_interval, parse_limit,
};
pub use exit::{Exit, exit_for_write_error};
pub use exit_reason::ExitReason;
pub use failure::Failure;
pub use input_file::read_file;
pub use launch::{launch, launch_with_plugin};
pub use notify::Notifier;
pub use plugin::plugin_text;
pub use stdout::{check_reader, for_stdout};
