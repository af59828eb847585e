//! When to try again what failed, of which nothing tells that it may work by now.

use super::Backoff;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The instant at which to try again, ever later while it goes on failing.
#[derive(Debug)]
pub struct Retry {
    at: Option<Instant>,
    backoff: Backoff,
}

impl Retry {
    /// Nothing has failed yet; the delays are those of [`Backoff::new`].
    #[must_use]
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { at: None, backoff: Backoff::new(least, most) }
    }

    /// When to try again; `None` while nothing waits for that.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// It has failed: the next try is due after the next delay.
    pub fn failed(&mut self, now: Instant) {
        self.at = Some(now + self.backoff.delay());
    }

    /// Tells whether the next try is due, and waits for it no longer if so.
    pub fn take(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// Waits for no further try. The next failure is one more of the same.
    pub const fn cancel(&mut self) {
        self.at = None;
    }

    /// Waits for no further try, and the next failure is the first one again.
    pub const fn reset(&mut self) {
        self.at = None;
        self.backoff.reset();
    }
}

/// Things that are tried again together, after the delay of [`Backoff::standard`].
///
/// One clock for all of them: to look again at each on its own would cost a timer for
/// each.
#[derive(Debug)]
pub struct RetrySet<K> {
    retry: Retry,
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
        Self { retry: Retry::new(Backoff::LEAST, Backoff::MOST), due: BTreeSet::new() }
    }

    /// Forgets everything: it is about to be asked anyway.
    pub fn clear(&mut self) {
        self.retry.reset();
        self.due.clear();
    }

    /// When [`RetrySet::take`] has something to give.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.retry.at
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
            self.retry.reset();
        }
        if self.retry.at.is_none() {
            self.retry.failed(now);
        }
    }

    /// Something happened that may have mended it.
    pub fn hasten(&mut self, now: Instant, key: K) {
        self.due.insert(key);
        let soon = now + Backoff::LEAST;
        self.retry.at = Some(self.retry.at.map_or(soon, |at| at.min(soon)));
    }

    /// No need to ask about this one any more.
    pub fn remove(&mut self, key: &K) {
        if self.due.remove(key) && self.due.is_empty() {
            self.clear();
        }
    }

    /// What is due now, if anything.
    pub fn take(&mut self, now: Instant) -> BTreeSet<K> {
        if self.retry.take(now) { std::mem::take(&mut self.due) } else { BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_try_is_due_once_and_ever_later_until_one_succeeds() {
        let (least, most) = (Duration::from_secs(1), Duration::from_secs(8));
        let mut now = Instant::now();
        let mut retry = Retry::new(least, most);
        assert!(!retry.take(now));
        for step in [least, least * 2, least * 4] {
            retry.failed(now);
            let at = retry.deadline().unwrap();
            assert!(at - now >= step / 2 && at - now <= step, "{step:?}");
            assert!(!retry.take(now) && retry.deadline() == Some(at));
            assert!(retry.take(at) && !retry.take(at));
            now = at;
        }
        retry.failed(now);
        retry.cancel();
        assert_eq!(retry.deadline(), None);
        retry.failed(now);
        assert!(retry.deadline().unwrap() - now >= most / 2);
        retry.reset();
        assert_eq!(retry.deadline(), None);
        retry.failed(now);
        assert!(retry.deadline().unwrap() - now <= least);
    }

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
