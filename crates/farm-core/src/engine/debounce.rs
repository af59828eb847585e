//! Debouncing: changes in quick succession are taken together.
//!
//! **Invariant.** Changes that never pause are still taken, `max` after the first.

use std::time::{Duration, Instant};

/// How long changes are gathered: until none has come for `min`, and at most for `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The time without a change after which the changes are taken.
    pub min: Duration,
    /// The time after the first change at which they are taken in any case.
    pub max: Duration,
}

/// Changes that were not taken yet, and when to take them.
#[derive(Debug, Clone, Copy)]
pub struct Debounce {
    wait: Wait,
    /// The times of the first and the last change.
    burst: Option<(Instant, Instant)>,
}

impl Debounce {
    /// Nothing to take yet.
    #[must_use]
    pub const fn new(wait: Wait) -> Self {
        Self { wait, burst: None }
    }

    /// Something changed.
    pub fn changed(&mut self, now: Instant) {
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// Tells whether there is nothing to take.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.burst.is_none()
    }

    /// When [`Debounce::take`] is due; `None` if there is nothing to take.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let (first, last) = self.burst?;
        // A wait beyond the range of the clock never ends by itself.
        match (last.checked_add(self.wait.min), first.checked_add(self.wait.max)) {
            (Some(quiet), Some(late)) => Some(quiet.min(late)),
            (one, other) => one.or(other),
        }
    }

    /// Tells whether the changes are due, and clears them if so.
    pub fn take(&mut self, now: Instant) -> bool {
        let is_due = self.deadline().is_some_and(|due| due <= now);
        if is_due {
            self.burst = None;
        }
        is_due
    }

    /// Drops the changes.
    pub const fn clear(&mut self) {
        self.burst = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const fn debounce(min: Duration, max: Duration) -> Debounce {
        Debounce::new(Wait { min, max })
    }

    #[test]
    fn quiet_for_min_is_enough() {
        let start = Instant::now();
        let mut changes = debounce(ms(100), ms(2000));
        assert_eq!((changes.deadline(), changes.take(start)), (None, false));
        changes.changed(start);
        changes.changed(start + ms(60));
        assert_eq!(changes.deadline(), Some(start + ms(160)));
        assert!(!changes.take(start + ms(159)));
        assert!(changes.take(start + ms(160)));
        assert_eq!((changes.deadline(), changes.take(start + ms(9999))), (None, false));
    }

    #[test]
    fn max_after_the_first_is_enough_however_many_follow() {
        let start = Instant::now();
        let mut changes = debounce(ms(100), ms(250));
        let taken: Vec<u64> = (0..1000)
            .step_by(50)
            .filter(|at| {
                changes.changed(start + ms(*at));
                changes.take(start + ms(*at))
            })
            .collect();
        assert_eq!(taken, [250, 550, 850]);
    }

    #[test]
    fn no_wait_is_none() {
        let start = Instant::now();
        let mut changes = debounce(ms(0), ms(0));
        changes.changed(start);
        assert_eq!(changes.deadline(), Some(start));
        assert!(changes.take(start));
        changes.changed(start);
        changes.clear();
        assert!(!changes.take(start + ms(1)));
    }

    #[test]
    fn a_wait_beyond_all_clocks_is_no_panic() {
        let start = Instant::now();
        let mut changes = debounce(Duration::MAX, Duration::MAX);
        changes.changed(start);
        assert_eq!((changes.deadline(), changes.take(start)), (None, false));
        let mut changes = debounce(Duration::MAX, ms(5));
        changes.changed(start);
        assert!(changes.take(start + ms(5)));
    }
}
