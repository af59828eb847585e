//! How long to wait when another writer was faster.
//!
//! **Invariant.** No wait lasts beyond the deadline.

use crate::engine::{Backoff, wait_until};
use std::time::{Duration, Instant};

/// The waits between two attempts: about one round trip at first, and at most long enough for
/// dozens of writers to avoid each other.
const WAIT_MIN: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(200);

/// The attempts of a writer that competes with others for a znode.
#[derive(Debug)]
pub struct Contention {
    backoff: Backoff,
    until: Instant,
}

impl Contention {
    /// Attempts that have to end before `until`.
    #[must_use]
    pub const fn new(until: Instant) -> Self {
        Self { backoff: Backoff::new(WAIT_MIN, WAIT_MAX), until }
    }

    /// Waits before the next attempt; returns false at once if there is no time left for one.
    #[must_use]
    pub fn wait(&mut self) -> bool {
        let wake = Instant::now() + self.backoff.delay();
        if wake >= self.until {
            return false;
        }
        wait_until(wake);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_no_wait_beyond_the_deadline() {
        let now = Instant::now();
        assert!(!Contention::new(now).wait());
        let mut contention = Contention::new(now + Duration::from_secs(60 * 60));
        assert!(contention.wait() && contention.wait());
        assert!(now.elapsed() >= WAIT_MIN / 2, "{:?}", now.elapsed());
    }
}
