//! A session in place of one that is over, sooner or later.

use super::{Generation, Session, SessionError};
use crate::engine::Retry;
use std::time::{Duration, Instant};

const BACKOFF_LEAST: Duration = Duration::from_secs(1);
const BACKOFF_MOST: Duration = Duration::from_secs(30);

/// Nothing has gone wrong yet.
pub(super) const fn retry() -> Retry {
    Retry::new(BACKOFF_LEAST, BACKOFF_MOST)
}

impl Session {
    /// Begins a new session in place of one that is over. While this process can't have
    /// what a session needs, such as descriptors, that is tried again and again: from
    /// [`Self::deadline`] on, in [`Self::tick`].
    ///
    /// # Panics
    ///
    /// When a panic on one of the session's threads has ended it: such a bug shows
    /// as [`Event::Lost`](super::Event::Lost), and goes on here, on the thread of whoever
    /// owns the session.
    pub fn renew(&mut self, now: Instant) {
        let Err(error) = self.begin_anew() else {
            if self.renewal.deadline().is_some() {
                log::info!("a new session has begun after all");
            }
            return self.renewal.reset();
        };
        if self.renewal.deadline().is_none() {
            log::warn!(why:% = error; "no new session, trying on");
        }
        self.renewal.failed(now);
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.renewal.deadline()
    }

    /// Tries again to begin a new session, if that is due.
    ///
    /// # Panics
    ///
    /// As [`Self::renew`] does.
    pub fn tick(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| now >= at) {
            self.renew(now);
        }
    }

    /// One attempt.
    pub(super) fn begin_anew(&mut self) -> Result<(), SessionError> {
        self.generation.panic_slot.surface();
        self.generation.relay.begin_close(Instant::now());
        self.generation = Generation::open(&self.config, &self.notify)?;
        Ok(())
    }
}
