//! What every binary shares on its command line: options, exit codes, errors, logging.
//!
//! **Invariant.** Only this layer writes to stderr, and only
//! [`launch`] turns an outcome into the end of a process.

mod access;
mod duration;
mod exit;
mod failure;
mod launch;
mod logging;
mod notify;
mod options;
mod plugin;
#[cfg(feature = "tls")]
mod tls;

pub use crate::engine::printable;
pub use duration::{DURATION_MAX, DurationError, parse_duration, parse_wait};
pub use exit::Exit;
pub use failure::{Failure, chain};
pub use launch::{launch, launch_with_plugin};
pub use logging::{LogArgs, Role};
pub use notify::Notifier;
pub use options::{CONNECTION, FilterArg, FormatArg, ZkArgs, parse_filter};
pub use plugin::plugin_text;
