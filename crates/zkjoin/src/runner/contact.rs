//! The contact with ZooKeeper: who we are to it, and which answer is waited for.
//!
//! **Invariant.** An answer is taken only if its ticket is ours: those of requests that
//! were made over an earlier contact are dropped, for after every contact the znode is
//! looked at again.

use super::Event;
use crate::entry::Answer;
use farm_core::engine::Outbox;
use farm_core::farm::is_owned_by;
use farm_core::session::{Client, Session, SessionId, Znode};
use std::time::Duration;

pub(super) struct Contact {
    pub(super) session: Session,
    pub(super) outbox: Outbox<Event>,
    pub(super) ticket: u64,
    pub(super) is_connected: bool,
    /// Who we are to ZooKeeper now, and how long a session outlives its contact.
    pub(super) known_as: Option<(SessionId, Duration)>,
}

impl Contact {
    pub(super) const fn connected(&mut self, session: SessionId, granted: Duration) {
        self.is_connected = true;
        self.known_as = Some((session, granted));
        self.ticket += 1;
    }

    pub(super) const fn disconnected(&mut self) {
        self.is_connected = false;
        self.ticket += 1;
    }

    pub(super) fn is_ours(&self, znode: &Znode) -> bool {
        self.known_as.is_some_and(|(session, _)| is_owned_by(znode, session))
    }

    /// Makes a request, and posts what came of it.
    pub(super) fn dispatch(&self, request: impl FnOnce(&Client) -> Event + Send + 'static) {
        let outbox = self.outbox.clone();
        self.session.dispatch(move |client| outbox.post(request(client)));
    }

    /// Makes a request whose answer is the one that is waited for from now on.
    pub(super) fn ask(&mut self, request: impl FnOnce(&Client) -> Answer + Send + 'static) {
        self.ticket += 1;
        let ticket = self.ticket;
        self.dispatch(move |client| Event::Answer { ticket, answer: request(client) });
    }
}
