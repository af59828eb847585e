//! The connection to ZooKeeper: the session that we hold, and the request whose
//! answer counts.
//!
//! **Invariant.** Only the answer to the latest request counts. Connecting and
//! disconnecting void earlier requests too: after each of them the znode is read again.

use super::event::Event;
use crate::entry::Answer;
use farm_core::engine::{Outbox, Retry};
use farm_core::farm::is_owned_by;
use farm_core::session::{Client, Session, SessionId, Znode};
use std::time::{Duration, Instant};

pub(super) struct Connection {
    pub(super) session: Session,
    outbox: Outbox<Event>,
    request_id: u64,
    pub(super) is_connected: bool,
    /// Our session's id, and its timeout.
    pub(super) granted: Option<(SessionId, Duration)>,
    /// When to read our znode without a hint: a server drops the event of a change that we
    /// may not read, and with it the watch.
    pub(super) recheck: Retry,
}

impl Connection {
    pub(super) const fn new(session: Session, outbox: Outbox<Event>) -> Self {
        let recheck = Retry::unannounced();
        Self { session, outbox, request_id: 0, is_connected: false, granted: None, recheck }
    }

    pub(super) const fn connected(&mut self, session: SessionId, timeout: Duration) {
        self.is_connected = true;
        self.granted = Some((session, timeout));
        self.request_id += 1;
    }

    pub(super) const fn disconnected(&mut self) {
        self.is_connected = false;
        self.request_id += 1;
        self.recheck.cancel();
    }

    /// Our znode was read or written.
    pub(super) fn answered(&mut self, now: Instant) {
        self.recheck.cancel();
        self.recheck.plan(now);
    }

    pub(super) fn is_ours(&self, znode: &Znode) -> bool {
        self.granted.is_some_and(|(session, _)| is_owned_by(znode, session))
    }

    /// Runs a request on a request thread, and posts its outcome.
    pub(super) fn dispatch(&self, request: impl FnOnce(&Client) -> Event + Send + 'static) {
        let outbox = self.outbox.clone();
        self.session.dispatch(move |client| outbox.post(request(client)));
    }

    /// Makes a request whose answer replaces that of any earlier request.
    pub(super) fn ask(&mut self, request: impl FnOnce(&Client) -> Answer + Send + 'static) {
        self.request_id += 1;
        let request_id = self.request_id;
        self.dispatch(move |client| Event::Answer { request_id, answer: request(client) });
    }

    pub(super) const fn is_latest(&self, request_id: u64) -> bool {
        request_id == self.request_id
    }
}
