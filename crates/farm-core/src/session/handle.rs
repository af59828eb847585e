//! The handle of the session: requests, the end of a session, and its successor.

use super::connection_gate::{ConnectionGate, WaitOutcome};
use super::generation::Generation;
use super::lease::LeaseKeeper;
use super::opening::Opening;
use super::{Client, ConnectError, Event, Lease, SessionError, SessionOptions};
use crate::engine::{Post, Retry};
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// Forever in practice, and still within the range of `Instant`.
const WAIT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How long closing a session may take when no server carries it.
const CLOSE_WAIT: Duration = Duration::from_millis(500);

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(10);
/// A session that ends within this time of its beginning is short.
const SHORT: Duration = Duration::from_secs(1);
/// How many short sessions in a row are replaced at once.
const SHORT_MAX: u32 = 3;

/// Sessions with ZooKeeper, one after the other.
pub struct Session {
    options: SessionOptions,
    notify: Post<Event>,
    /// `None` until the first one could begin.
    generation: Option<Generation>,
    opening: Opening,
    /// When to try again to replace a session that is over.
    renewal: Retry,
    /// Why it could not be replaced.
    renewal_error: Option<ConnectError>,
    /// When to replace a session that is over, if the last ones were short.
    pause: Retry,
    /// How many sessions in a row were short.
    short: u32,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Session {
    /// Starts to look for a server. `notify` is called for every event, on the relay's
    /// thread or on that of the caller, and must do nothing but post it.
    ///
    /// While this host has no loopback interface, or this process no descriptors or threads,
    /// [`Self::tick`] tries again from [`Self::deadline`] on.
    #[must_use]
    pub fn open(options: SessionOptions, notify: impl Fn(Event) + Send + Sync + 'static) -> Self {
        let retry = || Retry::new(BACKOFF_LEAST, BACKOFF_MOST);
        let mut session = Self {
            options,
            notify: Post::new(notify),
            generation: None,
            opening: Opening::new(),
            renewal: retry(),
            renewal_error: None,
            pause: retry(),
            short: 0,
        };
        session.begin(Instant::now());
        session
    }

    /// Tries to begin the first session.
    fn begin(&mut self, now: Instant) {
        match Generation::open(&self.options, &self.notify) {
            Ok(generation) => self.generation = Some(generation),
            Err(error) => {
                self.opening.failed(now, error, self.options.rounds_max, &self.notify);
            }
        }
    }

    /// The lease of this session. A session that replaces it has another lease.
    #[must_use]
    pub fn lease(&self) -> Lease {
        let relay = self.generation.as_ref().map(|generation| &generation.relay);
        relay.map_or_else(|| LeaseKeeper::default().lease(), |relay| relay.lease())
    }

    /// Runs a job on a request thread. Without a connection its requests fail at once. Before
    /// the first session could begin there was no connection, and the job is dropped.
    pub fn dispatch(&self, job: impl FnOnce(&Client) + Send + 'static) {
        if let Some(generation) = &self.generation {
            generation.requests.send(Box::new(job));
        }
    }

    /// Runs an operation until it ends or the deadline passes, and waits for it. It is
    /// started again after a disconnection or an expiry, so it must be repeatable: a
    /// read, or an edit that reads first.
    ///
    /// # Errors
    ///
    /// Those of the operation; [`SessionError::AuthRefused`] if no server accepts our
    /// credentials, [`SessionError::Unreachable`] if no server was reached,
    /// [`SessionError::Overdue`] if a server was reached but the operation did not end
    /// in time.
    ///
    /// # Panics
    ///
    /// If the operation panics.
    pub fn call<T: Send + 'static>(
        &mut self,
        timeout: Duration,
        operation: impl Fn(&Client) -> Result<T, SessionError> + Send + Sync + 'static,
    ) -> Result<T, SessionError> {
        let start = Instant::now();
        let deadline = start + timeout.min(WAIT_MAX);
        let operation = Arc::new(operation);
        let mut was_reached = false;
        loop {
            let (Some(generation), None) = (&self.generation, self.deadline()) else {
                self.await_attempt(start, deadline, was_reached)?;
                continue;
            };
            match generation.gate.wait(deadline) {
                WaitOutcome::Open => was_reached = true,
                WaitOutcome::SessionOver => {
                    self.renew(Instant::now());
                    continue;
                }
                WaitOutcome::Shut { error: Some(error), .. } if error.is_refusal() => {
                    return Err(SessionError::AuthRefused(error));
                }
                WaitOutcome::Shut { was_open, .. } if was_open || was_reached => {
                    return Err(SessionError::Overdue(start.elapsed()));
                }
                WaitOutcome::Shut { error, .. } => {
                    let tried = start.elapsed();
                    return Err(SessionError::Unreachable { last_error: error, tried });
                }
            }
            let (answer, answered) = sync_channel(1);
            let operation = Arc::clone(&operation);
            self.dispatch(move |client| drop(answer.try_send(operation(client))));
            match answered.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Err(SessionError::Disconnected | SessionError::Expired)) => {}
                Ok(outcome) => return outcome,
                // The operation panicked, which has ended the session: the next wait at
                // the gate finds that out.
                Err(RecvTimeoutError::Disconnected) => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(SessionError::Overdue(start.elapsed()));
                }
            }
        }
    }

    /// Waits for the next attempt to begin a session, and makes it.
    fn await_attempt(
        &mut self,
        start: Instant,
        deadline: Instant,
        was_reached: bool,
    ) -> Result<(), SessionError> {
        let is_first = self.generation.is_none();
        let has_given_up = is_first && self.opening.has_given_up(self.options.rounds_max);
        if has_given_up || Instant::now() >= deadline {
            let (last_error, tried) = (self.renewal_error.clone(), start.elapsed());
            return Err(match is_first {
                true => self.opening.error(),
                false if was_reached => SessionError::Overdue(tried),
                false => SessionError::Unreachable { last_error, tried },
            });
        }
        let next = self.deadline().map_or(deadline, |at| at.min(deadline));
        // Nobody opens this gate.
        ConnectionGate::new().wait(next);
        self.tick(Instant::now());
        Ok(())
    }

    /// Opens a new session in place of one that is over. If this process lacks
    /// resources for it, such as descriptors, or the last sessions have ended as soon as they
    /// had begun, [`Self::tick`] tries again from [`Self::deadline`] on.
    ///
    /// # Panics
    ///
    /// If a panic on one of the session's threads has ended the session. Such a bug is
    /// reported as [`Event::Lost`](super::Event::Lost); the panic continues here, on the
    /// thread that owns the session.
    pub fn renew(&mut self, now: Instant) {
        if let Some(generation) = &self.generation {
            generation.panic_slot.resume();
            generation.relay.begin_close(now);
        }
        let is_retry = self.deadline().is_some();
        if !is_retry && self.are_too_short() {
            let why = "the last ones ended as soon as they had begun";
            log::warn!(why; "no new session yet, retrying");
            return self.pause.failed(now);
        }
        self.pause.cancel();
        match Generation::open(&self.options, &self.notify) {
            Ok(generation) => {
                self.generation = Some(generation);
                if is_retry {
                    log::info!("opened a new session");
                }
                self.renewal.reset();
            }
            Err(error) => {
                if !is_retry {
                    log::warn!(why:% = error; "no new session yet, retrying");
                }
                self.renewal.failed(now);
                self.renewal_error = Some(error);
            }
        }
    }

    /// Counts the session that is over; tells whether the last ones were short. A server or a
    /// bug that ends each session at once must not cause one connection after the other.
    fn are_too_short(&mut self) -> bool {
        if self.generation.as_ref().is_some_and(|over| over.opened_at.elapsed() < SHORT) {
            self.short = self.short.saturating_add(1);
        } else {
            self.short = 0;
            self.pause.reset();
        }
        self.short > SHORT_MAX
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.generation {
            None => self.opening.deadline(),
            Some(_) => self.renewal.deadline().or(self.pause.deadline()),
        }
    }

    /// Tries again to open a session, if that is due.
    ///
    /// # Panics
    ///
    /// As [`Self::renew`] does.
    pub fn tick(&mut self, now: Instant) {
        if self.generation.is_none() {
            if self.opening.take(now) {
                self.begin(now);
            }
        } else if self.deadline().is_some_and(|at| now >= at) {
            self.renew(now);
        }
    }

    /// Ends the session. Its ephemeral znodes are deleted at once if a server carries
    /// the session or can be reached within half a second, otherwise after the session
    /// timeout.
    pub fn close(self) {
        self.close_until(Instant::now() + CLOSE_WAIT);
    }

    /// Ends the session without waiting for a server that does not answer: requests in
    /// flight fail at once, and the session expires after its timeout.
    pub fn abandon(self) {
        self.close_until(Instant::now());
    }

    fn close_until(self, until: Instant) {
        if let Some(generation) = &self.generation {
            generation.relay.begin_close(until);
        }
    }
}
