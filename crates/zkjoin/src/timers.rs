//! When to read the config: at once, when its writer has finished, or when its path is found
//! to name something else.

use farm_core::engine::{Debounce, Wait};
use std::time::{Duration, Instant};

/// The config is read after this time even if a writer goes on.
const WRITER_WAIT_MAX: Duration = Duration::from_secs(1);
/// How often we look at the path of the config.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

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

/// When to look at the path of the config, and what to make of a look.
///
/// A difference from what was read is believed once two looks agree: somebody may still be
/// writing.
#[derive(Debug)]
pub(crate) struct LookTimer<L> {
    /// The time between two looks that have to agree.
    quiet: Duration,
    look_at: Option<Instant>,
    /// Whether a look is under way: on a file system that does not answer, it stays so.
    is_looking: bool,
    /// The first look that differed, and the last one.
    differing: Option<(Instant, L)>,
}

impl<L: PartialEq> LookTimer<L> {
    pub(crate) const fn new(quiet: Duration) -> Self {
        Self { quiet, look_at: None, is_looking: false, differing: None }
    }

    /// The config was read.
    pub(crate) fn read(&mut self, now: Instant) {
        self.look_at = Some(now + LOOK_INTERVAL);
        self.differing = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.look_at.filter(|_| !self.is_looking)
    }

    /// Whether to look now; then a look is under way.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let is_due = self.deadline().is_some_and(|at| now >= at);
        self.is_looking |= is_due;
        is_due
    }

    /// Takes the look that was under way; returns whether to read the config, of which `read`
    /// was the look then.
    pub(crate) fn looked(&mut self, now: Instant, read: &L, look: L) -> bool {
        self.is_looking = false;
        if look == *read {
            self.read(now);
            return false;
        }
        let since = match &self.differing {
            Some((since, last)) if *last == look || now >= *since + WRITER_WAIT_MAX => return true,
            Some((since, _)) => *since,
            None => now,
        };
        self.differing = Some((since, look));
        self.look_at = Some(now + self.quiet.min(WRITER_WAIT_MAX));
        false
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

    #[test]
    fn a_path_that_names_something_else_is_read_within_ten_seconds() {
        let start = Instant::now();
        let mut timer = LookTimer::new(ms(50));
        assert_eq!((timer.deadline(), timer.begin(start)), (None, false));
        timer.read(start);
        assert!(!timer.begin(start + ms(4999)) && timer.begin(start + ms(5000)));
        assert!(!timer.looked(start + ms(5000), &1, 1));
        assert_eq!(timer.deadline(), Some(start + ms(10_000)));
        assert!(!timer.looked(start + ms(10_000), &1, 2));
        assert_eq!(timer.deadline(), Some(start + ms(10_050)));
        assert!(timer.looked(start + ms(10_050), &1, 2));
        timer.read(start + ms(10_050));
        assert_eq!(timer.deadline(), Some(start + ms(15_050)));
    }

    #[test]
    fn what_goes_on_changing_is_read_after_a_second() {
        let start = Instant::now();
        let mut timer = LookTimer::new(ms(50));
        timer.read(start);
        let first = start + ms(5000);
        let read_at = (0..).find(|n| timer.looked(first + ms(50 * n), &0, n + 1));
        assert_eq!(read_at, Some(20));
    }

    #[test]
    fn what_is_as_it_was_again_is_not_read() {
        let start = Instant::now();
        let mut timer = LookTimer::new(ms(50));
        timer.read(start);
        assert!(!timer.looked(start + ms(5000), &1, 2));
        assert!(!timer.looked(start + ms(5050), &1, 1));
        assert!(!timer.looked(start + ms(10_050), &1, 2));
        assert_eq!(timer.deadline(), Some(start + ms(10_100)));
    }

    #[test]
    fn while_a_look_gets_no_answer_there_is_no_other() {
        let start = Instant::now();
        let mut timer = LookTimer::new(ms(50));
        timer.read(start);
        assert!(timer.begin(start + ms(5000)));
        assert_eq!((timer.deadline(), timer.begin(start + ms(60_000))), (None, false));
        timer.read(start + ms(60_000));
        assert_eq!((timer.deadline(), timer.begin(start + ms(90_000))), (None, false));
        // This look began before the read; the next one agrees with the read.
        assert!(!timer.looked(start + ms(90_000), &2, 1));
        assert!(timer.begin(start + ms(90_050)));
        assert!(!timer.looked(start + ms(90_050), &2, 2));
    }
}
