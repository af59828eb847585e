//! The bounds of a config.

use std::time::Duration;

/// The most bytes of a config.
pub const CONF_BYTES_MAX: usize = 1_000_000;
/// The most files and directories of a config.
pub const CONF_ENTRIES_MAX: usize = 10_000;
/// A save is taken as complete after this time without a write.
pub(super) const QUIET: Duration = Duration::from_millis(50);
