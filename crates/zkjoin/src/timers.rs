//! When to read the config: at once, or when its writer is done.

use std::time::{Duration, Instant};

/// However long a writer goes on, the config is read after this time.
const SETTLE_MOST: Duration = Duration::from_secs(1);

/// The time at which the config is to be read.
#[derive(Debug)]
pub(crate) struct ConfTimer {
    settle: Duration,
    since: Option<Instant>,
    at: Option<Instant>,
}

impl ConfTimer {
    pub(crate) const fn new(settle: Duration) -> Self {
        Self { settle, since: None, at: None }
    }

    /// Somebody is writing, and may go on.
    pub(crate) fn is_being_written(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.at = Some((now + self.settle).min(since + SETTLE_MOST.max(self.settle)));
    }

    /// Read it after that time at the latest.
    pub(crate) fn in_time(&mut self, now: Instant, wait: Duration) {
        let at = now + wait;
        self.at = Some(self.at.map_or(at, |before| before.min(at)));
    }

    /// The config is being read now.
    pub(crate) const fn was_read(&mut self) {
        self.since = None;
        self.at = None;
    }

    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| now >= at)
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
