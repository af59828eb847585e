//! The clock that goes on while the machine sleeps.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A moment on that clock, in nanoseconds since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boottime(u64);

impl Boottime {
    /// A clock that can't be read.
    pub const UNKNOWN: Self = Self(0);

    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
        time.map_or(Self::UNKNOWN, Self::after_boot)
    }

    /// The moment this long after the start of the machine; there is room for five centuries.
    #[must_use]
    pub fn after_boot(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Nanoseconds since the start of the machine.
    #[must_use]
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }
}
