//! Whether a server carries the session, for threads that have to wait for one.

use super::Trouble;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Opened and shut by the relay's thread, waited for by callers that block.
///
/// A lock and not a message, because any number of callers may wait, each with
/// a deadline of its own, and none of them owns the inbox.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_open: bool,
    was_open: bool,
    is_over: bool,
    has_given_up: bool,
    trouble: Option<Trouble>,
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
        trouble: Option<Trouble>,
    },
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) {
        let mut state = self.state();
        (state.is_open, state.was_open, state.has_given_up) = (true, true, false);
        self.changed.notify_all();
    }

    pub(super) fn shut(&self) {
        self.state().is_open = false;
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        (state.is_open, state.is_over) = (false, true);
        self.changed.notify_all();
    }

    pub(super) fn note(&self, trouble: Option<Trouble>, has_given_up: bool) {
        let mut state = self.state();
        state.trouble = trouble;
        state.has_given_up |= has_given_up;
        self.changed.notify_all();
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
