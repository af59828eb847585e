//! The stop of a process tree: a signal first, a kill after the timeout.
//!
//! Pure: the time goes in, and what to do comes out. **Invariant.** Nothing is killed before the
//! timeout unless a kill is requested, and nothing is asked to end after it.

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// The shortest and the longest pause between two rounds of kills. A process that dies causes a
/// CHLD; the rounds are for those that the first kill missed.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// How the process tree is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Termination {
    /// It is not.
    None,
    /// Each process gets this signal once.
    Graceful(Signal),
    /// Each process is killed as often as we see it.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asking { signal: Signal, check_at: Option<Instant>, kill_at: Instant },
    Killing { again_at: Instant, pause: Duration },
}

/// The progress of a stop.
#[derive(Debug)]
pub(super) struct Shutdown {
    state: State,
}

impl Shutdown {
    pub(super) const fn none() -> Self {
        Self { state: State::Idle }
    }

    /// Begins a stop, or asks again; a second call can only bring the kill forward.
    ///
    /// A tick is due at once: without a process there would be no CHLD to continue the stop.
    pub(super) fn ask(&mut self, now: Instant, signal: Signal, kill_timeout: Duration) {
        // A year is as good as never, and does not overflow the clock.
        let far = now + Duration::from_secs(86400 * 365);
        let kill_at = now.checked_add(kill_timeout).map_or(far, |at| at.min(far));
        let kill_at = match self.state {
            State::Killing { .. } => return,
            State::Asking { kill_at: before, .. } => before.min(kill_at),
            State::Idle => kill_at,
        };
        self.state = State::Asking { signal, check_at: Some(now), kill_at };
    }

    /// Begins the kill, whether the timeout has passed or not.
    pub(super) fn kill(&mut self, now: Instant) {
        if !matches!(self.state, State::Killing { .. }) {
            self.state = State::Killing { again_at: now, pause: PAUSE_LEAST };
        }
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Instant) {
        match self.state {
            State::Asking { kill_at, .. } if kill_at <= now => self.kill(now),
            State::Asking { signal, check_at: Some(at), kill_at } if at <= now => {
                self.state = State::Asking { signal, check_at: None, kill_at };
            }
            State::Idle | State::Asking { .. } | State::Killing { .. } => {}
        }
        if let State::Killing { again_at, pause } = self.state
            && again_at <= now
        {
            let longer = (pause * 2).min(PAUSE_MOST);
            self.state = State::Killing { again_at: now + pause, pause: longer };
        }
    }

    /// When the next [`Shutdown::tick`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Asking { check_at, kill_at, .. } => {
                Some(check_at.unwrap_or(kill_at).min(kill_at))
            }
            State::Killing { again_at, .. } => Some(again_at),
        }
    }

    pub(super) const fn termination(&self) -> Termination {
        match self.state {
            State::Idle => Termination::None,
            State::Asking { signal, .. } => Termination::Graceful(signal),
            State::Killing { .. } => Termination::Kill,
        }
    }

    /// Whether the kills have gone on for so long that what is left can't be killed.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self.state, State::Killing { pause: PAUSE_MOST, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_process_tree_is_asked_until_the_timeout_and_then_killed_ever_more_seldom() {
        let start = Instant::now();
        let mut shutdown = Shutdown::none();
        assert_eq!((shutdown.termination(), shutdown.deadline()), (Termination::None, None));
        shutdown.ask(start, Signal::SIGINT, 3 * S);
        assert_eq!(
            (shutdown.termination(), shutdown.deadline()),
            (Termination::Graceful(Signal::SIGINT), Some(start))
        );
        shutdown.tick(start);
        assert_eq!(shutdown.deadline(), Some(start + 3 * S));
        shutdown.tick(start + 3 * S - Duration::from_nanos(1));
        assert_eq!(shutdown.termination(), Termination::Graceful(Signal::SIGINT));

        let mut now = start + 3 * S;
        let mut pauses = Vec::new();
        for _ in 0..10 {
            shutdown.tick(now);
            assert_eq!(shutdown.termination(), Termination::Kill);
            let next = shutdown.deadline().unwrap();
            pauses.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert!(shutdown.is_stuck());
    }

    #[test]
    fn asking_again_never_extends_the_timeout_and_may_shorten_it() {
        let start = Instant::now();
        for (first, second, kept) in [(3 * S, 9 * S, 3 * S), (9 * S, 3 * S, 4 * S)] {
            let mut shutdown = Shutdown::none();
            shutdown.ask(start, Signal::SIGTERM, first);
            shutdown.ask(start + S, Signal::SIGHUP, second);
            shutdown.tick(start + S);
            assert_eq!(shutdown.termination(), Termination::Graceful(Signal::SIGHUP));
            assert_eq!(shutdown.deadline(), Some(start + kept));
        }
    }

    #[test]
    fn a_timeout_of_zero_is_a_kill_at_the_first_tick() {
        let start = Instant::now();
        let mut shutdown = Shutdown::none();
        shutdown.ask(start, Signal::SIGTERM, Duration::ZERO);
        shutdown.tick(start);
        assert_eq!(shutdown.termination(), Termination::Kill);
        assert!(!shutdown.is_stuck());
    }

    #[test]
    fn a_kill_is_not_taken_back() {
        let start = Instant::now();
        let mut shutdown = Shutdown::none();
        shutdown.kill(start);
        shutdown.tick(start);
        let next = shutdown.deadline();
        shutdown.ask(start + S, Signal::SIGTERM, 9 * S);
        shutdown.kill(start + S);
        assert_eq!((shutdown.termination(), shutdown.deadline()), (Termination::Kill, next));
    }

    #[test]
    fn an_endless_timeout_does_not_overflow() {
        let mut shutdown = Shutdown::none();
        shutdown.ask(Instant::now(), Signal::SIGTERM, Duration::MAX);
        shutdown.tick(Instant::now());
        assert_eq!(shutdown.termination(), Termination::Graceful(Signal::SIGTERM));
    }
}
