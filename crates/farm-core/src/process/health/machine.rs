//! When health is checked, and what the results mean.
//!
//! Pure: it runs no check itself. **Invariant.** A check is due only after the result of the one
//! before, and a result from before the last begin or rest is ignored.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// When health is checked, and how it is judged.
#[derive(Debug, Clone, Copy)]
pub struct HealthPolicy {
    /// From the end of one check to the next.
    pub interval: Duration,
    /// How long one check may take.
    pub limit: Duration,
    /// How long after a start failures raise no alert.
    pub delay: Duration,
    /// How many successes in a row mean that it is healthy.
    pub rise: NonZeroU32,
    /// How many failures in a row raise an alert; each further one raises it again.
    pub fall: NonZeroU32,
}

/// What follows from the result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The child is healthy.
    Healthy,
    /// The child is unhealthy, and the delay after its start is over.
    Failing,
    /// Neither is certain yet.
    Nothing,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Health {
    policy: HealthPolicy,
    /// Failures before this time raise no alert.
    lenient_until: Option<Instant>,
    next: Option<Instant>,
    is_checking: bool,
    successes: u32,
    failures: u32,
}

impl Health {
    pub(super) const fn new(policy: HealthPolicy) -> Self {
        Self {
            policy,
            lenient_until: None,
            next: None,
            is_checking: false,
            successes: 0,
            failures: 0,
        }
    }

    /// The first start: the first check comes after the delay.
    pub(super) fn begin(&mut self, now: Instant) {
        self.schedule(now, self.policy.delay);
    }

    /// A restart, or the signal of a change: the first check comes at once, because a turn waits
    /// for its result.
    pub(super) fn begin_now(&mut self, now: Instant) {
        self.schedule(now, Duration::ZERO);
    }

    fn schedule(&mut self, now: Instant, first: Duration) {
        self.lenient_until = Some(now + self.policy.delay);
        self.next = Some(now + first);
        self.is_checking = false;
        (self.successes, self.failures) = (0, 0);
    }

    /// Nothing is checked any more. The result of a check that still runs is ignored.
    pub(super) const fn rest(&mut self) {
        self.next = None;
        self.is_checking = false;
    }

    /// When [`Health::is_due`] will be true.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether a check is due now; if so, the caller has to make it.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next.take_if(|next| *next <= now).is_some();
        self.is_checking |= is_due;
        is_due
    }

    /// Takes the result of a check.
    pub(super) fn answered(&mut self, now: Instant, is_success: bool) -> Finding {
        if !std::mem::take(&mut self.is_checking) {
            return Finding::Nothing;
        }
        self.next = Some(now + self.policy.interval);
        if is_success {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            let is_healthy = self.successes >= self.policy.rise.get();
            return if is_healthy { Finding::Healthy } else { Finding::Nothing };
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        let is_lenient = self.lenient_until.is_some_and(|until| now < until);
        let is_failing = self.failures >= self.policy.fall.get() && !is_lenient;
        if is_failing { Finding::Failing } else { Finding::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn health(rise: u32, fall: u32) -> Health {
        let count = |count| NonZeroU32::new(count).unwrap();
        let (rise, fall) = (count(rise), count(fall));
        Health::new(HealthPolicy {
            interval: 2 * SECOND,
            limit: SECOND,
            delay: 10 * SECOND,
            rise,
            fall,
        })
    }

    fn check(health: &mut Health, at: Instant, is_success: bool) -> Finding {
        assert!(health.is_due(at));
        health.answered(at, is_success)
    }

    #[test]
    fn the_first_check_comes_after_the_delay_and_intervals_count_from_the_end() {
        let now = Instant::now();
        let mut health = health(1, 1);
        assert_eq!(health.deadline(), None);
        health.begin(now);
        assert_eq!(health.deadline(), Some(now + 10 * SECOND));
        assert!(!health.is_due(now + 9 * SECOND));
        assert!(health.is_due(now + 10 * SECOND));
        assert!(!health.is_due(now + 11 * SECOND));
        assert_eq!(health.deadline(), None);
        assert_eq!(health.answered(now + 17 * SECOND, true), Finding::Healthy);
        assert_eq!(health.deadline(), Some(now + 19 * SECOND));
        assert_eq!(check(&mut health, now + 19 * SECOND, false), Finding::Failing);
        assert_eq!(check(&mut health, now + 21 * SECOND, false), Finding::Failing);
        assert_eq!(check(&mut health, now + 23 * SECOND, true), Finding::Healthy);
    }

    #[test]
    fn after_a_restart_the_first_check_comes_at_once_and_failures_are_no_alert_yet() {
        let now = Instant::now();
        let mut health = health(1, 1);
        health.begin_now(now);
        assert_eq!(check(&mut health, now, false), Finding::Nothing);
        assert_eq!(check(&mut health, now + 2 * SECOND, false), Finding::Nothing);
        assert_eq!(check(&mut health, now + 10 * SECOND, false), Finding::Failing);
    }

    #[test]
    fn rise_and_fall_count_results_in_a_row() {
        let now = Instant::now();
        let mut health = health(2, 3);
        health.begin(now);
        let mut at = now + 8 * SECOND;
        let mut next = |is_success| {
            at += 2 * SECOND;
            check(&mut health, at, is_success)
        };
        assert_eq!(next(true), Finding::Nothing);
        assert_eq!(next(true), Finding::Healthy);
        assert_eq!([next(false), next(false)], [Finding::Nothing; 2]);
        assert_eq!(next(true), Finding::Nothing);
        assert_eq!([next(false), next(false)], [Finding::Nothing; 2]);
        assert_eq!([next(false), next(false)], [Finding::Failing; 2]);
    }

    #[test]
    fn a_result_about_an_earlier_child_is_ignored() {
        let now = Instant::now();
        let mut health = health(1, 1);
        health.begin_now(now);
        assert!(health.is_due(now));
        health.rest();
        assert_eq!(health.answered(now, true), Finding::Nothing);
        assert_eq!(health.deadline(), None);
        health.begin_now(now);
        assert_eq!(health.answered(now, true), Finding::Nothing);
        assert_eq!(check(&mut health, now, true), Finding::Healthy);
    }
}
