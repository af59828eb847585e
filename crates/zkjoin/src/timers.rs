//! When to read the config: at once, or when its writer has finished.

use farm_core::engine::{Debounce, Wait};
use std::time::{Duration, Instant};

/// The config is read after this time even if a writer goes on.
const WRITER_WAIT_MAX: Duration = Duration::from_secs(1);

/// The time at which the config is to be read.
#[derive(Debug)]
pub(crate) struct ConfTimer {
    writes: Debounce,
    /// When to read it without a further write.
    read_at: Option<Instant>,
}

impl ConfTimer {
    /// `quiet` is the time without a write after which a writer counts as finished.
    pub(crate) fn new(quiet: Duration) -> Self {
        let wait = Wait { min: quiet, max: WRITER_WAIT_MAX.max(quiet) };
        Self { writes: Debounce::new(wait), read_at: None }
    }

    /// A writer is active: reads later, when it has finished.
    pub(crate) fn defer(&mut self, now: Instant) {
        self.writes.changed(now);
        self.read_at = None;
    }

    /// Reads after `wait` at the latest.
    pub(crate) fn read_within(&mut self, now: Instant, wait: Duration) {
        let at = now + wait;
        self.read_at = Some(self.read_at.map_or(at, |before| before.min(at)));
    }

    /// The config is being read now.
    pub(crate) const fn clear(&mut self) {
        self.writes.clear();
        self.read_at = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.writes.deadline().into_iter().chain(self.read_at).min()
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|at| now >= at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_writer_that_goes_on_delays_the_read_by_a_second_at_most() {
        let start = Instant::now();
        let mut timer = ConfTimer::new(ms(50));
        assert_eq!(timer.deadline(), None);
        for step in 0..100 {
            timer.defer(start + ms(20 * step));
        }
        assert_eq!(timer.deadline(), Some(start + ms(1000)));
        timer.clear();
        assert_eq!(timer.deadline(), None);
        timer.defer(start + ms(3000));
        assert_eq!(timer.deadline(), Some(start + ms(3050)));
        assert!(!timer.is_due(start + ms(3049)) && timer.is_due(start + ms(3050)));
    }

    #[test]
    fn an_early_read_is_not_put_off() {
        let start = Instant::now();
        let mut timer = ConfTimer::new(ms(50));
        timer.read_within(start, ms(10));
        timer.read_within(start, ms(90));
        assert_eq!(timer.deadline(), Some(start + ms(10)));
    }
}
