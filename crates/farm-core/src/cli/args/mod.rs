//! The options that several tools have: a file for each group, and the values in them.

mod access;
mod connection;
mod duration;
mod filter;
mod format;
#[cfg(feature = "tls")]
mod tls;

pub use connection::{CONNECTION, ZkArgs};
pub use duration::{DURATION_MAX, DurationError, parse_duration, parse_wait};
pub use filter::{FilterArg, parse_filter};
pub use format::FormatArg;
