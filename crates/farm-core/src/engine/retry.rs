//! When to retry what has failed, if no event announces that it may succeed.

use super::Backoff;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The time of the next retry, with growing delays as long as it keeps failing.
#[derive(Debug)]
pub struct Retry {
    at: Option<Instant>,
    backoff: Backoff,
}

impl Retry {
    /// The longest delay of [`Retry::unannounced`].
    pub const UNANNOUNCED_MOST: Duration = Duration::from_secs(30);

    /// The timer for what no event announces: a server sends no event about a znode to a client
    /// that may not read it, and none when the access list changes. Its delay does not grow; it is
    /// half of [`Retry::UNANNOUNCED_MOST`] to all of it.
    #[must_use]
    pub const fn unannounced() -> Self {
        Self::new(Self::UNANNOUNCED_MOST, Self::UNANNOUNCED_MOST)
    }

    /// Nothing has failed yet; the delays are those of [`Backoff::new`].
    #[must_use]
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { at: None, backoff: Backoff::new(least, most) }
    }

    /// When to retry; `None` if no retry is pending.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// It has failed: a retry is due after the next delay.
    pub fn failed(&mut self, now: Instant) {
        self.at = Some(now + self.backoff.delay());
    }

    /// A retry is due after the next delay, unless one is pending.
    pub fn plan(&mut self, now: Instant) {
        if self.at.is_none() {
            self.failed(now);
        }
    }

    /// Tells whether the retry is due; if so, it is no longer pending.
    pub fn take(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// Cancels the retry. The delays go on growing with the next failure.
    pub const fn cancel(&mut self) {
        self.at = None;
    }

    /// Cancels the retry, and starts again with the least delay.
    pub const fn reset(&mut self) {
        self.at = None;
        self.backoff.reset();
    }
}

/// Things that are retried together, after the delay of [`Backoff::standard`]: one timer
/// for all of them.
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
    /// Nothing to retry yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { retry: Retry::new(Backoff::LEAST, Backoff::MOST), due: BTreeSet::new() }
    }

    /// Drops all retries, if everything is read again anyway.
    pub fn clear(&mut self) {
        self.retry.reset();
        self.due.clear();
    }

    /// When [`RetrySet::take`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.retry.at
    }

    /// Tells whether there is nothing to retry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Adds a failure. The first one in a row resets the delay.
    pub fn add(&mut self, now: Instant, key: K, is_first_time: bool) {
        self.due.insert(key);
        if is_first_time {
            self.retry.reset();
        }
        self.retry.plan(now);
    }

    /// As [`RetrySet::add`], but it is retried as often as [`Retry::unannounced`] says, however
    /// often it has failed.
    pub fn add_unannounced(&mut self, now: Instant, key: K, is_first_time: bool) {
        self.add(now, key, is_first_time);
        let most = Retry::UNANNOUNCED_MOST;
        let latest = now + Backoff::new(most, most).delay();
        self.retry.at = self.retry.at.map(|at| at.min(latest));
    }

    /// Retries soon: something has happened that may have fixed it.
    pub fn hasten(&mut self, now: Instant, key: K) {
        self.due.insert(key);
        let soon = now + Backoff::LEAST;
        self.retry.at = Some(self.retry.at.map_or(soon, |at| at.min(soon)));
    }

    /// Drops one retry.
    pub fn remove(&mut self, key: &K) {
        if self.due.remove(key) && self.due.is_empty() {
            self.clear();
        }
    }

    /// Takes everything, if it is due.
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
        // The next failure starts with the least delay.
        set.add(now, "a", false);
        assert!(set.deadline().unwrap() - now <= Backoff::LEAST);
    }

    #[test]
    fn what_no_event_announces_is_due_within_half_a_minute_for_ever() {
        let mut now = Instant::now();
        let mut set = RetrySet::new();
        for _ in 0..20 {
            set.add_unannounced(now, "a", false);
            assert!(set.deadline().unwrap() - now <= Retry::UNANNOUNCED_MOST);
            now = set.deadline().unwrap();
            set.take(now);
        }
        set.add_unannounced(now, "a", false);
        assert!(set.deadline().unwrap() - now >= Retry::UNANNOUNCED_MOST / 2);
        let mut recheck = Retry::unannounced();
        recheck.plan(now);
        let at = recheck.deadline().unwrap();
        assert!(at - now >= Retry::UNANNOUNCED_MOST / 2 && at - now <= Retry::UNANNOUNCED_MOST);
        recheck.plan(at);
        assert!(!recheck.take(now) && recheck.take(at) && !recheck.take(at));
    }
}
