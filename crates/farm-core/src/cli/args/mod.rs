//! The options that several tools share, a file for each group.

mod access;
mod command;
mod connection;
mod duration;
mod filter;
mod format;
mod heading;
mod log;
mod parse;
mod tls;
mod wait;

pub use command::{ChangedCmdArg, CmdTimeoutArg, TimedCommand};
pub use connection::ZkArgs;
pub use duration::{DurationError, parse_duration, parse_interval, parse_limit};
pub use filter::FilterArg;
pub use format::FormatArg;
pub use heading::CONNECTION;
pub use log::{LogArgs, Role};
pub use parse::ParseArg;
pub use wait::WaitArg;
