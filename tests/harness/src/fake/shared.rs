//! What the serving thread and the test's threads share.

use super::state::State;
use crate::waker::Waker;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The state behind a lock instead of messages: when a method returns, its change has been
/// made, and the test's next line can rely on it.
pub(crate) struct Shared {
    pub(super) state: Mutex<State>,
    /// Notified after every round of the serving thread.
    pub(super) changed: Condvar,
    pub(super) waker: Waker,
}

impl Shared {
    /// Ignores poisoning: a probe that panicked while it held the lock has changed nothing.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the serving thread to act on it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.lock());
        self.waker.wake();
        self.changed.notify_all();
        outcome
    }
}
