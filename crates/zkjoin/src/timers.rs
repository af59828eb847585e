//! When to read the config: at once, or when its writer is done.

use farm_core::engine::{Debounce, Wait};
use std::time::{Duration, Instant};

/// However long a writer goes on, the config is read after this time.
const SETTLE_MOST: Duration = Duration::from_secs(1);

/// The time at which the config is to be read.
#[derive(Debug)]
pub(crate) struct ConfTimer {
    writes: Debounce,
    /// When it is to be read if nobody writes.
    by: Option<Instant>,
}

impl ConfTimer {
    pub(crate) fn new(settle: Duration) -> Self {
        let wait = Wait { min: settle, max: SETTLE_MOST.max(settle) };
        Self { writes: Debounce::new(wait), by: None }
    }

    /// Somebody is writing, and may go on.
    pub(crate) fn is_being_written(&mut self, now: Instant) {
        self.writes.changed(now);
        self.by = None;
    }

    /// Read it after that time at the latest.
    pub(crate) fn in_time(&mut self, now: Instant, wait: Duration) {
        let at = now + wait;
        self.by = Some(self.by.map_or(at, |before| before.min(at)));
    }

    /// The config is being read now.
    pub(crate) const fn was_read(&mut self) {
        self.writes.clear();
        self.by = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.writes.deadline().into_iter().chain(self.by).min()
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
            timer.is_being_written(start + ms(20 * step));
        }
        assert_eq!(timer.deadline(), Some(start + ms(1000)));
        timer.was_read();
        assert_eq!(timer.deadline(), None);
        timer.is_being_written(start + ms(3000));
        assert_eq!(timer.deadline(), Some(start + ms(3050)));
        assert!(!timer.is_due(start + ms(3049)) && timer.is_due(start + ms(3050)));
    }

    #[test]
    fn an_early_read_is_not_put_off() {
        let start = Instant::now();
        let mut timer = ConfTimer::new(ms(50));
        timer.in_time(start, ms(10));
        timer.in_time(start, ms(90));
        assert_eq!(timer.deadline(), Some(start + ms(10)));
    }
}
