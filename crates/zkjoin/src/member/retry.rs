//! When to try again what failed.

use farm_core::engine::Backoff;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Retry {
    pub(super) at: Option<Instant>,
    backoff: Backoff,
}

impl Retry {
    pub(super) const fn new() -> Self {
        Self { at: None, backoff: Backoff::new(RETRY_LEAST, RETRY_MOST) }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| now >= at)
    }

    pub(super) fn fail(&mut self, now: Instant) {
        self.at = Some(now + self.backoff.delay());
    }

    pub(super) fn reset(&mut self) {
        self.at = None;
        self.backoff.reset();
    }
}
