//! When changes have come to rest.
//!
//! **Invariant.** Changes that never pause are still taken, MAX after the first.

use std::time::{Duration, Instant};

/// Gathers changes until it is quiet for a while, but not for ever.
#[derive(Debug, Clone)]
pub(crate) struct Settle {
    min: Duration,
    max: Duration,
    /// The first and the last change that were not taken yet.
    burst: Option<(Instant, Instant)>,
}

impl Settle {
    /// Quiet for `min` is enough, and `max` after the first change as well.
    #[must_use]
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, burst: None }
    }

    /// Something changed.
    pub(crate) fn changed(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// When [`Settle::take`] is worth a call; `None` while there is nothing to take.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let (first, last) = self.burst?;
        // A wait beyond the reach of the clock is one until it pauses, or for ever.
        match (last.checked_add(self.min), first.checked_add(self.max)) {
            (Some(quiet), Some(late)) => Some(quiet.min(late)),
            (one, other) => one.or(other),
        }
    }

    /// Tells whether what changed is to be taken now, and forgets it if so.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let is_due = self.deadline().is_some_and(|due| due <= now);
        if is_due {
            self.burst = None;
        }
        is_due
    }

    /// Forgets what changed.
    pub(crate) fn clear(&mut self) {
        self.burst = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn quiet_for_min_is_enough() {
        let start = Instant::now();
        let mut settle = Settle::new(ms(100), ms(2000));
        assert_eq!((settle.deadline(), settle.take(start)), (None, false));
        settle.changed(start);
        settle.changed(start + ms(60));
        assert_eq!(settle.deadline(), Some(start + ms(160)));
        assert!(!settle.take(start + ms(159)));
        assert!(settle.take(start + ms(160)));
        assert_eq!((settle.deadline(), settle.take(start + ms(9999))), (None, false));
    }

    #[test]
    fn max_after_the_first_is_enough_however_many_follow() {
        let start = Instant::now();
        let mut settle = Settle::new(ms(100), ms(250));
        let taken: Vec<u64> = (0..1000)
            .step_by(50)
            .filter(|at| {
                settle.changed(start + ms(*at));
                settle.take(start + ms(*at))
            })
            .collect();
        assert_eq!(taken, [250, 550, 850]);
    }

    #[test]
    fn no_wait_is_none() {
        let start = Instant::now();
        let mut settle = Settle::new(ms(0), ms(0));
        settle.changed(start);
        assert_eq!(settle.deadline(), Some(start));
        assert!(settle.take(start));
        settle.changed(start);
        settle.clear();
        assert!(!settle.take(start + ms(1)));
    }

    #[test]
    fn a_wait_beyond_all_clocks_is_no_panic() {
        let start = Instant::now();
        let mut settle = Settle::new(Duration::MAX, Duration::MAX);
        settle.changed(start);
        assert_eq!((settle.deadline(), settle.take(start)), (None, false));
        let mut settle = Settle::new(Duration::MAX, ms(5));
        settle.changed(start);
        assert!(settle.take(start + ms(5)));
    }
}
