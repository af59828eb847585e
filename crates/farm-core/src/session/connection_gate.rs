//! Whether a server carries the session, for threads that have to wait for one.

use super::ConnectError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Opened and shut by the relay's thread, waited for by callers that block.
///
/// A lock and not a message, because any number of callers may wait, each with
/// a deadline of its own, and none of them owns the inbox.
#[derive(Debug)]
pub(super) struct ConnectionGate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    is_open: bool,
    /// When it was shut, or made.
    shut_at: Instant,
    was_open: bool,
    is_over: bool,
    has_given_up: bool,
    trouble: Option<ConnectError>,
}

/// What came of waiting.
#[derive(Debug)]
pub(super) enum Passage {
    Open,
    /// The session is over.
    Over,
    /// Not in time, or never again; and why.
    Shut {
        was_open: bool,
        trouble: Option<ConnectError>,
    },
}

impl ConnectionGate {
    /// A gate that is shut.
    pub(super) fn new() -> Self {
        let state = State {
            is_open: false,
            shut_at: Instant::now(),
            was_open: false,
            is_over: false,
            has_given_up: false,
            trouble: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) {
        let mut state = self.state();
        (state.is_open, state.was_open, state.has_given_up) = (true, true, false);
        self.changed.notify_all();
    }

    pub(super) fn shut(&self) {
        let mut state = self.state();
        (state.is_open, state.shut_at) = (false, Instant::now());
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.is_open, state.is_over) = (false, true);
        self.changed.notify_all();
    }

    /// Keeps what went wrong last; tells for how long it has been shut.
    pub(super) fn note(&self, trouble: Option<ConnectError>, has_given_up: bool) -> Duration {
        let mut state = self.state();
        state.trouble = trouble;
        state.has_given_up |= has_given_up;
        self.changed.notify_all();
        state.shut_at.elapsed()
    }

    pub(super) fn wait(&self, deadline: Instant) -> Passage {
        let mut state = self.state();
        loop {
            if state.is_over {
                return Passage::Over;
            }
            if state.is_open {
                return Passage::Open;
            }
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() || state.has_given_up {
                let (was_open, trouble) = (state.was_open, state.trouble.clone());
                return Passage::Shut { was_open, trouble };
            }
            state = match self.changed.wait_timeout(state, patience) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
