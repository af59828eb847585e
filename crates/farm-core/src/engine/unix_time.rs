//! The time of day, as it is written in znodes.

use std::time::{SystemTime, UNIX_EPOCH};

/// The milliseconds since 1970 by this host's clock; `None` if it is set to an earlier time.
#[must_use]
pub fn unix_ms() -> Option<i64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}
