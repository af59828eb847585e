//! Draining and restoring, over everything that can go wrong meanwhile.
//!
//! **Invariant.** One request at a time is under way, and its answer is always taken:
//! it knows what may have been written. What was set is not forgotten before it is
//! restored or somebody else has overruled it.

use super::{Drain, Drained, Restored, Undrained};
use crate::engine::Retry;
use crate::farm::EditError;
use crate::model::SetError;
use crate::session::{self, Client, Session, SessionError, Watch};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// How long one attempt may lose races against other writers.
const EDIT_PATIENCE: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// The child is about to be taken down.
    Drain,
    /// The child is well again, or will never be.
    Restore,
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The deadline has passed.
    Tick,
}

/// What has to be done.
pub(super) type Action = session::Action<Request, News>;

/// What is known now.
#[derive(Debug)]
pub(crate) enum News {
    /// The field holds our value: the child may be taken down.
    Drained(Drained),
    /// There is no such znode, so this host is in no rotation: the child may be taken
    /// down.
    NotThere,
    /// It does not work, and is tried again; the child has to wait. Told once per reason.
    Failing(EditError<SetError>),
    /// The field is ours no more: the turn may end.
    Restored(Restored),
    /// There is no such znode to restore: the turn may end. If it comes back with our
    /// value, that is restored then, and [`News::Restored`] follows.
    Postponed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Draining,
    Drained,
    Restoring,
}

/// Something to ask ZooKeeper on behalf of a drainer.
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

/// What came back.
#[derive(Debug)]
pub(crate) enum Answer {
    Drained(Result<Drained, Undrained>),
    Restored(Result<Restored, EditError<SetError>>),
}

impl Request {
    /// Has a courier do it; `post` is called with the answer, on its thread.
    pub(crate) fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| post(self.perform(client)));
    }

    fn perform(self, client: &Client) -> Answer {
        let Self { drain, ask } = self;
        let until = Instant::now() + EDIT_PATIENCE;
        match ask {
            Ask::Drain(former) => Answer::Drained(drain.drain(client, former, until)),
            Ask::Restore(drained) => {
                let restored = drain.restore(client, &drained, until);
                if matches!(&restored, Err(error) if is_missing(error)) {
                    // For the watch alone: without it, it is tried again a little later.
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

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Drainer {
    drain: Drain,
    phase: Phase,
    /// What has to be restored.
    memory: Option<Drained>,
    is_connected: bool,
    is_asking: bool,
    retry: Retry,
    /// The trouble that was told.
    told: Option<String>,
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
            memory: None,
            is_connected: false,
            is_asking: false,
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            told: None,
            is_postponed: false,
            actions: Vec::new(),
        }
    }

    /// Is there nothing to restore, and nothing under way?
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Is this host out of the rotation, or was it never in it?
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
            Event::Drain => self.begin(),
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
            // There was no contact before either.
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

    fn begin(&mut self) {
        match (self.phase, &self.memory) {
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
        self.calm();
        self.ask();
    }

    /// Nothing is wrong any more.
    fn calm(&mut self) {
        self.retry.reset();
        self.told = None;
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell(news));
    }

    /// Asks for what the phase wants, if nothing is under way.
    fn ask(&mut self) {
        if self.is_asking {
            return;
        }
        let ask = match (self.phase, &self.memory) {
            (Phase::Idle | Phase::Drained, _) => return,
            (Phase::Draining, memory) => Ask::Drain(memory.clone()),
            (Phase::Restoring, Some(drained)) => Ask::Restore(drained.clone()),
            (Phase::Restoring, None) => return self.end(Restored::Untouched),
        };
        if !self.is_connected {
            return;
        }
        self.retry.cancel();
        self.is_asking = true;
        self.actions.push(Action::Ask(Request { drain: self.drain.clone(), ask }));
    }

    fn end(&mut self, restored: Restored) {
        self.phase = Phase::Idle;
        self.memory = None;
        self.calm();
        self.tell(News::Restored(restored));
    }

    fn drained(&mut self, now: Instant, outcome: Result<Drained, Undrained>) {
        let news = match outcome {
            Ok(drained) => {
                self.memory = Some(drained.clone());
                News::Drained(drained)
            }
            Err(Undrained { error, drained }) => {
                self.memory = drained.map(|drained| *drained);
                if !is_missing(&error) && self.phase == Phase::Draining {
                    return self.trouble(now, error);
                }
                News::NotThere
            }
        };
        match self.phase {
            Phase::Draining => {
                self.phase = Phase::Drained;
                self.calm();
                self.tell(news);
            }
            Phase::Restoring | Phase::Idle | Phase::Drained => self.ask(),
        }
    }

    fn restored(&mut self, now: Instant, outcome: Result<Restored, EditError<SetError>>) {
        match (outcome, self.phase) {
            (Ok(restored), Phase::Restoring) => self.end(restored),
            (Ok(_), Phase::Draining | Phase::Idle | Phase::Drained) => {
                self.memory = None;
                self.ask();
            }
            (Err(error), Phase::Restoring) if is_missing(&error) => {
                self.try_later(now);
                if !std::mem::replace(&mut self.is_postponed, true) {
                    self.tell(News::Postponed);
                }
            }
            (Err(error), Phase::Restoring) => self.trouble(now, error),
            // There is something else to do by now, and it finds what this one left.
            (Err(_), Phase::Draining | Phase::Idle | Phase::Drained) => self.ask(),
        }
    }

    fn trouble(&mut self, now: Instant, error: EditError<SetError>) {
        self.try_later(now);
        let is_transient = matches!(&error, EditError::Session(error) if error.is_transient());
        let text = crate::engine::chain(&error);
        if !is_transient && self.told.as_ref() != Some(&text) {
            self.told = Some(text);
            self.tell(News::Failing(error));
        }
    }

    fn try_later(&mut self, now: Instant) {
        // A new contact asks by itself.
        if self.is_connected {
            self.retry.failed(now);
        }
    }
}
