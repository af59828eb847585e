//! How long one run may take, and how it is ended when it takes longer.
//!
//! Pure: the time goes in, and the signal for the process group comes out. **Invariant.** Each
//! signal is sent once, and KILL is the last one.

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// How long a command may go on after the TERM.
const GRACE: Duration = Duration::from_secs(5);
/// The same for a cancelled command.
const CANCEL_GRACE: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running { until: Instant },
    Terminated { until: Instant },
    Killed,
}

/// The time limit of one run.
#[derive(Debug)]
pub(super) struct Limit {
    state: State,
    /// Whether the command gets a TERM before the KILL.
    has_grace: bool,
}

impl Limit {
    pub(super) const fn new(until: Instant, has_grace: bool) -> Self {
        Self { state: State::Running { until }, has_grace }
    }

    /// When the next [`Limit::tick`] is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Running { until } | State::Terminated { until } => Some(until),
            State::Killed => None,
        }
    }

    /// Whether the command has got a signal.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Terminated { .. } | State::Killed)
    }

    /// Ends the command before its limit; returns the signal that is due, if any.
    pub(super) fn cancel(&mut self, now: Instant) -> Option<Signal> {
        if let State::Running { until } = &mut self.state {
            *until = now;
        }
        let signal = self.tick(now);
        if let State::Terminated { until } = &mut self.state {
            *until = (now + CANCEL_GRACE).min(*until);
        }
        signal
    }

    /// Returns the signal that is due, if any.
    pub(super) fn tick(&mut self, now: Instant) -> Option<Signal> {
        match self.state {
            State::Running { until } if until <= now && self.has_grace => {
                self.state = State::Terminated { until: now + GRACE };
                Some(Signal::SIGTERM)
            }
            State::Running { until } | State::Terminated { until } if until <= now => {
                self.state = State::Killed;
                Some(Signal::SIGKILL)
            }
            State::Running { .. } | State::Terminated { .. } | State::Killed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_that_takes_too_long_is_terminated_then_killed() {
        let start = Instant::now();
        let mut limit = Limit::new(start + LIMIT, true);
        assert_eq!(limit.deadline(), Some(start + LIMIT));
        let just_before = start + LIMIT - Duration::from_millis(1);
        assert_eq!(limit.tick(just_before), None);
        assert!(!limit.is_over());
        assert_eq!(limit.tick(start + LIMIT), Some(Signal::SIGTERM));
        assert_eq!(limit.tick(start + LIMIT), None);
        assert!(limit.is_over());
        assert_eq!(limit.tick(start + LIMIT + GRACE), Some(Signal::SIGKILL));
        assert_eq!(limit.deadline(), None);
        assert!(limit.is_over());
    }

    #[test]
    fn without_grace_it_is_killed_at_once() {
        let start = Instant::now();
        let mut limit = Limit::new(start + LIMIT, false);
        assert_eq!(limit.tick(start + LIMIT), Some(Signal::SIGKILL));
        assert_eq!((limit.deadline(), limit.tick(start + 2 * LIMIT)), (None, None));
    }

    #[test]
    fn a_cancelled_command_has_less_time_and_gets_one_term() {
        let start = Instant::now();
        let mut limit = Limit::new(start + LIMIT, true);
        assert_eq!(limit.cancel(start), Some(Signal::SIGTERM));
        assert_eq!(limit.cancel(start), None);
        assert_eq!(limit.deadline(), Some(start + CANCEL_GRACE));
        assert_eq!(limit.tick(start + CANCEL_GRACE), Some(Signal::SIGKILL));
        assert_eq!((limit.cancel(start + LIMIT), limit.deadline()), (None, None));

        let mut over = Limit::new(start, true);
        assert_eq!(over.tick(start), Some(Signal::SIGTERM));
        assert_eq!(over.cancel(start), None);
        assert_eq!(over.deadline(), Some(start + CANCEL_GRACE));
        assert_eq!(Limit::new(start + LIMIT, false).cancel(start), Some(Signal::SIGKILL));
    }
}
