//! Draining and restoring this host, through lost connections and refusals.
//!
//! **Invariant.** One request at a time is under way, and every answer is processed: it says what
//! may have been written. The former value is kept until it is restored or another writer has
//! changed the field.

use super::field::{Drain, Drained, Restored, Undrained};
use crate::engine::{Retry, chain};
use crate::farm::EditError;
use crate::model::SetError;
use crate::session::{self, Client, Session, SessionError, Watch};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// How long one attempt may lose races against other writers.
const EDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The child is about to be stopped.
    Drain,
    /// The child is healthy again, or never will be.
    Restore,
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The deadline has passed.
    Tick,
}

/// What to do.
pub(super) type Action = session::Action<Request, News>;

/// What has changed.
#[derive(Debug)]
pub(crate) enum News {
    /// The field holds our value: the child may be stopped.
    Drained(Drained),
    /// The znode does not exist, so this host is in no rotation: the child may be stopped.
    NotThere,
    /// Draining or restoring fails and is tried again; the turn has to wait. Reported once per
    /// reason.
    Failing(EditError<SetError>),
    /// The field does not hold our value any more: the turn may end.
    Restored(Restored),
    /// The znode to restore does not exist: the turn may end. If the znode comes back with our
    /// value, the field is restored then, and [`News::Restored`] follows.
    Postponed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Draining,
    Drained,
    Restoring,
}

/// A request to ZooKeeper.
#[derive(Debug)]
pub(crate) struct Request {
    drain: Drain,
    pub(super) ask: Ask,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Drain(Option<Drained>),
    Restore(Drained),
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Drained(Result<Drained, Undrained>),
    Restored(Result<Restored, EditError<SetError>>),
}

impl Request {
    /// Runs on a request thread, which calls `post` with the answer.
    pub(crate) fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| post(self.perform(client)));
    }

    fn perform(self, client: &Client) -> Answer {
        let Self { drain, ask } = self;
        let until = Instant::now() + EDIT_TIMEOUT;
        match ask {
            Ask::Drain(former) => Answer::Drained(drain.drain(client, former, until)),
            Ask::Restore(drained) => {
                let restored = drain.restore(client, &drained, until);
                if matches!(&restored, Err(error) if is_missing(error)) {
                    // Only for the watch. Without one, the retry comes a little later.
                    drop(client.exists(&drain.path, Watch::Yes));
                }
                Answer::Restored(restored)
            }
        }
    }
}

const fn is_missing(error: &EditError<SetError>) -> bool {
    matches!(error, EditError::Session(SessionError::NoNode(_)))
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Drainer {
    drain: Drain,
    phase: Phase,
    /// What has to be restored, if the field was or may have been set.
    former: Option<Drained>,
    is_connected: bool,
    is_asking: bool,
    retry: Retry,
    /// The error that was reported last.
    reported: Option<String>,
    is_postponed: bool,
    actions: Vec<Action>,
}

impl Drainer {
    /// Nothing is drained yet.
    #[must_use]
    pub(crate) const fn new(drain: Drain) -> Self {
        Self {
            drain,
            phase: Phase::Idle,
            former: None,
            is_connected: false,
            is_asking: false,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            reported: None,
            is_postponed: false,
            actions: Vec::new(),
        }
    }

    /// Whether there is nothing to restore, and nothing under way.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Whether this host is out of the rotation, or was never in it.
    #[must_use]
    pub(crate) fn is_drained(&self) -> bool {
        self.phase == Phase::Drained
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Takes one event.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        match event {
            Event::Drain => self.drain(),
            Event::Restore => self.restore(),
            Event::Session(session::Event::Connected { .. }) => {
                self.is_connected = true;
                self.ask();
            }
            Event::Session(session::Event::Suspended(_) | session::Event::Lost) => {
                self.is_connected = false;
                self.retry.cancel();
            }
            Event::Session(session::Event::Hint(hint)) => {
                if hint.path == self.drain.path && self.retry.deadline().is_some() {
                    self.ask();
                }
            }
            // There is no connection in either case.
            Event::Session(session::Event::GaveUp(_) | session::Event::AuthRefused(_)) => {}
            Event::Answered(answer) => {
                self.is_asking = false;
                match answer {
                    Answer::Drained(outcome) => self.drained(now, outcome),
                    Answer::Restored(outcome) => self.restored(now, outcome),
                }
            }
            Event::Tick => {
                if self.retry.take(now) {
                    self.ask();
                }
            }
        }
        std::mem::take(&mut self.actions)
    }

    fn drain(&mut self) {
        match (self.phase, &self.former) {
            (Phase::Idle | Phase::Restoring, _) => self.enter(Phase::Draining),
            (Phase::Draining, _) => {}
            (Phase::Drained, Some(drained)) => self.tell(News::Drained(drained.clone())),
            (Phase::Drained, None) => self.tell(News::NotThere),
        }
    }

    fn restore(&mut self) {
        match self.phase {
            Phase::Idle => self.tell(News::Restored(Restored::Untouched)),
            Phase::Draining | Phase::Drained => self.enter(Phase::Restoring),
            Phase::Restoring => {}
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.is_postponed = false;
        self.clear_error();
        self.ask();
    }

    fn clear_error(&mut self) {
        self.retry.reset();
        self.reported = None;
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Report(news));
    }

    /// Sends the request that the phase needs, unless one is under way.
    fn ask(&mut self) {
        if self.is_asking {
            return;
        }
        let ask = match (self.phase, &self.former) {
            (Phase::Idle | Phase::Drained, _) => return,
            (Phase::Draining, former) => Ask::Drain(former.clone()),
            (Phase::Restoring, Some(drained)) => Ask::Restore(drained.clone()),
            (Phase::Restoring, None) => return self.end(Restored::Untouched),
        };
        if !self.is_connected {
            return;
        }
        self.retry.cancel();
        self.is_asking = true;
        self.actions.push(Action::Request(Request { drain: self.drain.clone(), ask }));
    }

    fn end(&mut self, restored: Restored) {
        self.phase = Phase::Idle;
        self.former = None;
        self.clear_error();
        self.tell(News::Restored(restored));
    }

    fn drained(&mut self, now: Instant, outcome: Result<Drained, Undrained>) {
        let news = match outcome {
            Ok(drained) => {
                self.former = Some(drained.clone());
                News::Drained(drained)
            }
            Err(Undrained { error, drained }) => {
                self.former = drained.map(|drained| *drained);
                if !is_missing(&error) && self.phase == Phase::Draining {
                    return self.failed(now, error);
                }
                News::NotThere
            }
        };
        match self.phase {
            Phase::Draining => {
                self.phase = Phase::Drained;
                self.clear_error();
                self.tell(news);
            }
            Phase::Restoring | Phase::Idle | Phase::Drained => self.ask(),
        }
    }

    fn restored(&mut self, now: Instant, outcome: Result<Restored, EditError<SetError>>) {
        match (outcome, self.phase) {
            (Ok(restored), Phase::Restoring) => self.end(restored),
            (Ok(_), Phase::Draining | Phase::Idle | Phase::Drained) => {
                self.former = None;
                self.ask();
            }
            (Err(error), Phase::Restoring) if is_missing(&error) => {
                self.try_later(now);
                if !std::mem::replace(&mut self.is_postponed, true) {
                    self.tell(News::Postponed);
                }
            }
            (Err(error), Phase::Restoring) => self.failed(now, error),
            // The phase has changed; its request finds what this one may have written.
            (Err(_), Phase::Draining | Phase::Idle | Phase::Drained) => self.ask(),
        }
    }

    fn failed(&mut self, now: Instant, error: EditError<SetError>) {
        self.try_later(now);
        let is_transient = matches!(&error, EditError::Session(error) if error.is_transient());
        let text = chain(&error);
        if !is_transient && self.reported.as_ref() != Some(&text) {
            self.reported = Some(text);
            self.tell(News::Failing(error));
        }
    }

    fn try_later(&mut self, now: Instant) {
        // A new connection sends the request anyway.
        if self.is_connected {
            self.retry.failed(now);
        }
    }
}
