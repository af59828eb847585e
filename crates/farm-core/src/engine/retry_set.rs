//! What has to be asked again although nothing will tell when.

use super::Backoff;
use std::collections::BTreeSet;
use std::time::Instant;

/// Things that are tried again together, after the delay of [`Backoff::standard`].
///
/// One clock for all of them: to look again at each on its own would cost a timer for
/// each.
#[derive(Debug)]
pub struct RetrySet<K> {
    at: Option<Instant>,
    backoff: Backoff,
    due: BTreeSet<K>,
}

impl<K: Ord> Default for RetrySet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Ord> RetrySet<K> {
    /// Nothing to try again yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { at: None, backoff: Backoff::standard(), due: BTreeSet::new() }
    }

    /// Forgets everything: it is about to be asked anyway.
    pub fn clear(&mut self) {
        self.at = None;
        self.backoff.reset();
        self.due.clear();
    }

    /// When [`RetrySet::take`] has something to give.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Is there nothing to try again?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Failed, for the first time in a row or not; the first time makes the delay short
    /// again.
    pub fn add(&mut self, now: Instant, key: K, is_first_time: bool) {
        self.due.insert(key);
        if is_first_time {
            self.backoff.reset();
            self.at = None;
        }
        self.at.get_or_insert_with(|| now + self.backoff.delay());
    }

    /// Something happened that may have mended it.
    pub fn hasten(&mut self, now: Instant, key: K) {
        self.due.insert(key);
        let soon = now + Backoff::LEAST;
        self.at = Some(self.at.map_or(soon, |at| at.min(soon)));
    }

    /// No need to ask about this one any more.
    pub fn remove(&mut self, key: &K) {
        if self.due.remove(key) && self.due.is_empty() {
            self.clear();
        }
    }

    /// What is due now, if anything.
    pub fn take(&mut self, now: Instant) -> BTreeSet<K> {
        if self.at.is_none_or(|at| at > now) {
            return BTreeSet::new();
        }
        self.at = None;
        std::mem::take(&mut self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_failed_is_due_together_and_ever_later() {
        let mut now = Instant::now();
        let mut set = RetrySet::new();
        set.add(now, "a", true);
        let first = set.deadline().unwrap();
        set.add(now, "b", false);
        assert_eq!(set.deadline(), Some(first));
        assert!(first - now <= Backoff::LEAST);
        assert!(set.take(now).is_empty());
        assert_eq!(set.take(first), BTreeSet::from(["a", "b"]));
        assert_eq!(set.deadline(), None);
        for _ in 0..20 {
            set.add(now, "a", false);
            now = set.deadline().unwrap();
            set.take(now);
        }
        set.add(now, "a", false);
        assert!(set.deadline().unwrap() - now >= Backoff::MOST / 2);
        set.hasten(now, "b");
        assert_eq!(set.deadline(), Some(now + Backoff::LEAST));
        set.remove(&"a");
        assert_eq!(set.deadline(), Some(now + Backoff::LEAST));
        set.remove(&"b");
        assert_eq!(set.deadline(), None);
        // What goes wrong next begins anew.
        set.add(now, "a", false);
        assert!(set.deadline().unwrap() - now <= Backoff::LEAST);
    }
}
