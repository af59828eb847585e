//! Whether a server carries the session, for threads that wait for that.

use super::ConnectError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Opened and shut by the relay's thread; blocking callers wait for it to open.
///
/// It is a lock and not a message, because any number of callers may wait, each with a
/// deadline of its own, and none of them owns the inbox.
#[derive(Debug)]
pub(super) struct ConnectionGate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    is_open: bool,
    /// When it was last shut, or created.
    shut_at: Instant,
    was_open: bool,
    is_session_over: bool,
    has_given_up: bool,
    error: Option<ConnectError>,
}

/// How a wait at the gate ended.
#[derive(Debug)]
pub(super) enum WaitOutcome {
    Open,
    SessionOver,
    /// It did not open in time, or no further attempt is worth waiting for.
    Shut {
        was_open: bool,
        error: Option<ConnectError>,
    },
}

impl ConnectionGate {
    /// A gate that is shut.
    pub(super) fn new() -> Self {
        let state = State {
            is_open: false,
            shut_at: Instant::now(),
            was_open: false,
            is_session_over: false,
            has_given_up: false,
            error: None,
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

    /// The session is over: whoever waits stops waiting.
    pub(super) fn end_session(&self) {
        let mut state = self.state();
        (state.is_open, state.is_session_over) = (false, true);
        self.changed.notify_all();
    }

    /// Keeps the latest error; returns for how long the gate has been shut.
    pub(super) fn attempt_failed(
        &self,
        error: Option<ConnectError>,
        has_given_up: bool,
    ) -> Duration {
        let mut state = self.state();
        state.error = error;
        state.has_given_up |= has_given_up;
        self.changed.notify_all();
        state.shut_at.elapsed()
    }

    pub(super) fn wait(&self, deadline: Instant) -> WaitOutcome {
        let mut state = self.state();
        loop {
            if state.is_session_over {
                return WaitOutcome::SessionOver;
            }
            if state.is_open {
                return WaitOutcome::Open;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.has_given_up {
                let (was_open, error) = (state.was_open, state.error.clone());
                return WaitOutcome::Shut { was_open, error };
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
