//! The bounds and the outcomes of loading and storing a config.

use crate::model::{Conflict, Record};
use std::time::Duration;

/// The most bytes of a config.
pub const CONF_BYTES_MAX: usize = 1_000_000;
/// The most files and directories of a config.
pub const CONF_ENTRIES_MAX: usize = 10_000;
/// A save is taken as complete after this time without a write.
pub(super) const QUIET: Duration = Duration::from_millis(50);

/// A config as it was loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Its fields. A field that cannot be read, now or ever, has its last value.
    pub record: Record,
    /// Fields of which an edit was lost, because we replaced them at the same time;
    /// each is reported once.
    pub conflicts: Vec<Conflict>,
    /// A save may be incomplete: load again after this time, even without a hint.
    pub again: Option<Duration>,
    /// The record has late edits that the config itself does not have: store it.
    pub needs_store: bool,
}

/// The outcome of storing a config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The config has all these values already.
    Unchanged,
    /// Written.
    Written,
    /// Somebody else wrote at the same time: load, merge and store again.
    Overtaken,
    /// Fields whose files have just appeared or vanished were left alone: load after the
    /// time that the last load named, merge and store again.
    Unsettled {
        /// Whether other fields were written.
        is_written: bool,
    },
}
