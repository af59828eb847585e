//! The options that several tools have: a file for each group, and the values in them.

mod access;
mod command;
mod connection;
mod duration;
mod filter;
mod format;
mod log;
mod tls;
mod wait;

pub use command::{ChangedCmdArg, CmdTimeoutArg, TimedCommand};
pub use connection::{CONNECTION, ZkArgs};
pub use duration::{DurationError, parse_duration};
pub use filter::FilterArg;
pub use format::FormatArg;
pub use log::{LogArgs, Role};
pub use wait::WaitArg;
