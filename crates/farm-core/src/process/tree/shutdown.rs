//! How a process tree is brought to its end: asked first, killed when its time is over.
//!
//! Pure: the time comes in, what is to be done goes out. **Invariant.** Nobody is killed
//! before the time that was given, and nobody is asked after it.

use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// Between two rounds of killing, at first and at most. What dies tells us so; the rounds
/// are for what slipped through.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// What is being done to the process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Termination {
    /// Nothing.
    None,
    /// It is asked to end, each process once.
    Graceful(Signal),
    /// It is killed, each process as often as we see it.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Asking { signal: Signal, look_at: Option<Instant>, kill_at: Instant },
    Killing { again_at: Instant, pause: Duration },
}

/// The end of a process tree, as far as it has come.
#[derive(Debug)]
pub(super) struct Shutdown {
    state: State,
}

impl Shutdown {
    pub(super) const fn none() -> Self {
        Self { state: State::Idle }
    }

    /// Begins, or asks again; the time that was given once is not made longer.
    ///
    /// There is a look at the process tree at once, for there may be nobody whose end would
    /// bring one about.
    pub(super) fn ask(&mut self, now: Instant, signal: Signal, patience: Duration) {
        // Far beyond every clock: as good as never.
        let far = now + Duration::from_secs(86400 * 365);
        let kill_at = now.checked_add(patience).map_or(far, |at| at.min(far));
        let kill_at = match self.state {
            State::Killing { .. } => return,
            State::Asking { kill_at: before, .. } => before.min(kill_at),
            State::Idle => kill_at,
        };
        self.state = State::Asking { signal, look_at: Some(now), kill_at };
    }

    /// Time is over.
    pub(super) fn kill(&mut self, now: Instant) {
        if !matches!(self.state, State::Killing { .. }) {
            self.state = State::Killing { again_at: now, pause: PAUSE_LEAST };
        }
    }

    /// Takes the time.
    pub(super) fn tick(&mut self, now: Instant) {
        match self.state {
            State::Asking { kill_at, .. } if kill_at <= now => self.kill(now),
            State::Asking { signal, look_at: Some(at), kill_at } if at <= now => {
                self.state = State::Asking { signal, look_at: None, kill_at };
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
            State::Asking { look_at, kill_at, .. } => Some(look_at.unwrap_or(kill_at).min(kill_at)),
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

    /// Whether it has been killed for so long that it would be gone if it could be.
    pub(super) fn is_stuck(&self) -> bool {
        matches!(self.state, State::Killing { pause: PAUSE_MOST, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_family_is_asked_until_its_time_is_over_and_killed_ever_more_seldom() {
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
    fn who_asks_again_gives_no_more_time_and_may_give_less() {
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
    fn no_time_at_all_is_a_kill_at_the_first_look() {
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
    fn endless_patience_does_not_overflow() {
        let mut shutdown = Shutdown::none();
        shutdown.ask(Instant::now(), Signal::SIGTERM, Duration::MAX);
        shutdown.tick(Instant::now());
        assert_eq!(shutdown.termination(), Termination::Graceful(Signal::SIGTERM));
    }
}
