//! The attempts to begin the first session, while this host has no loopback or this process no
//! threads or descriptors for it.
//!
//! The client library talks to the relay over loopback. A host that is starting may bring it
//! up after us, and a container may have none. Then no server can be reached either, and an
//! attempt counts as a round over all servers.

use super::{ConnectError, Event, SessionError};
use crate::engine::{Post, Retry};
use std::time::{Duration, Instant};

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(2);

/// The attempts that have failed so far.
#[derive(Debug)]
pub(super) struct Opening {
    began: Instant,
    failed: u32,
    retry: Retry,
    last_error: Option<ConnectError>,
}

impl Opening {
    /// Nothing has failed yet.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            failed: 0,
            retry: Retry::new(BACKOFF_LEAST, BACKOFF_MOST),
            last_error: None,
        }
    }

    /// When to try again.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Tells whether to try again now.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.retry.take(now)
    }

    /// An attempt has failed. `rounds_max` is how many may fail.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        error: ConnectError,
        rounds_max: Option<u32>,
        notify: &Post<Event>,
    ) {
        self.failed = self.failed.saturating_add(1);
        self.retry.failed(now);
        if self.failed == 1 {
            log::warn!(last:% = error; "no server can be reached, retrying");
        }
        self.last_error = Some(error);
        if self.has_given_up(rounds_max) {
            notify.post(Event::GaveUp(self.error()));
        }
    }

    /// Tells whether that many attempts have failed.
    pub(super) fn has_given_up(&self, rounds_max: Option<u32>) -> bool {
        rounds_max.is_some_and(|most| self.failed >= most)
    }

    /// Why there is no session yet.
    pub(super) fn error(&self) -> SessionError {
        let tried = self.began.elapsed();
        SessionError::Unreachable { last_error: self.last_error.clone(), tried }
    }
}
