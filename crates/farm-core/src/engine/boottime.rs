//! The clock that runs on while the machine sleeps.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A time on that clock, in nanoseconds since the machine booted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boottime(u64);

impl Boottime {
    /// The time if the clock can't be read.
    pub const UNKNOWN: Self = Self(0);

    /// The current time.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        time.map_or(Self::UNKNOWN, Self::after_boot)
    }

    /// This long after the boot; the range is five centuries.
    #[must_use]
    pub fn after_boot(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since the machine booted.
    #[must_use]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }
}
