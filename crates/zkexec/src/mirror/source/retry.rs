//! What has to be read again although nothing will tell when.

use farm_core::engine::Backoff;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(5 * 60);

/// One clock for all of it: a change of an access list is never announced.
#[derive(Debug)]
pub(super) struct Retry {
    at: Option<Instant>,
    backoff: Backoff,
    units: BTreeSet<usize>,
}

impl Retry {
    pub(super) const fn new() -> Self {
        let backoff = Backoff::new(RETRY_LEAST, RETRY_MOST);
        Self { at: None, backoff, units: BTreeSet::new() }
    }

    /// Forgets everything: it is about to be read anyway.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Failed, for the first time in a row or not.
    pub(super) fn add(&mut self, now: Instant, unit: usize, is_first_time: bool) {
        self.units.insert(unit);
        if is_first_time {
            self.backoff.reset();
            self.at = None;
        }
        self.at.get_or_insert_with(|| now + self.backoff.delay());
    }

    /// Something happened there that may have mended it.
    pub(super) fn hasten(&mut self, now: Instant, unit: usize) {
        self.units.insert(unit);
        let soon = now + RETRY_LEAST;
        self.at = Some(self.at.map_or(soon, |at| at.min(soon)));
    }

    /// Read after all.
    pub(super) fn drop_unit(&mut self, unit: usize) {
        if self.units.remove(&unit) && self.units.is_empty() {
            self.clear();
        }
    }

    /// The units that are due now.
    pub(super) fn take(&mut self, now: Instant) -> BTreeSet<usize> {
        if self.at.is_none_or(|at| at > now) {
            return BTreeSet::new();
        }
        self.at = None;
        std::mem::take(&mut self.units)
    }
}
