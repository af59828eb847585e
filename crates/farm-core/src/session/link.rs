//! The link between a session and the server that carries it, as a pure state machine.
//!
//! Frames and the time go in; frames, answers and events come out through [`Output`].
//! The relay's thread reads, writes and dials.
//!
//! **Invariant.** One queue holds all requests in the order in which they were sent to
//! the server, and an answer is only ever taken for the request at its head. Any other
//! answer ends the connection: a client library that matches answers by order alone
//! would otherwise return the data of one znode to the reader of another.

mod backlog;
mod clocks;
mod messages;
mod phase;
mod suppress_watch;

#[cfg(test)]
mod tests;

pub(super) use messages::{Output, OwnAnswer, OwnRequest, Unanswered};

use super::lease::Lease;
use super::timeouts::Timeouts;
use super::wire::{
    self, CheckedBody, ConnectResponse, Garbled, ReplyHead, SessionCredentials, XID_AUTH,
    XID_EVENT, XID_PING, code, opcode,
};
use super::{Auth, DownReason, Event, Hint, SessionId, ZnodePath};
use crate::engine::Boottime;
use backlog::{Backlog, Origin};
use clocks::Clocks;
use phase::Phase;
use std::time::{Duration, Instant};
use suppress_watch::suppress_watch;

/// The state machine, see the module's page.
#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    auth: Auth,
    /// Changes outside of it are not reported.
    chroot: ZnodePath,
    session: Option<SessionCredentials>,
    last_zxid: i64,
    backlog: Backlog,
    clocks: Clocks,
    is_client_connected: bool,
    is_closing: bool,
    /// The session was reported as connected at least once.
    was_up: bool,
    /// The server has answered a request with a code after which old servers close the
    /// connection.
    is_outdated: bool,
    pub(super) out: Output,
}

impl Link {
    pub(super) fn new(now: Instant, asked: Duration, auth: Auth, chroot: ZnodePath) -> Self {
        Self {
            phase: Phase::Down,
            auth,
            chroot,
            session: None,
            last_zxid: 0,
            backlog: Backlog::default(),
            clocks: Clocks::new(now, asked),
            is_client_connected: false,
            is_closing: false,
            was_up: false,
            is_outdated: false,
            out: Output::default(),
        }
    }

    pub(super) fn lease(&self) -> Lease {
        self.clocks.lease.lease()
    }

    /// Sets the clock of the lease, before anything is sent in this turn.
    pub(super) const fn set_boottime(&mut self, boottime: Boottime) {
        self.clocks.boottime = boottime;
    }

    /// Tells whether the relay has to look for a server.
    pub(super) fn wants_server(&self) -> bool {
        // A request that the library gets while its thread starts is lost: whether that thread is
        // woken up for it is a race. After its first frame it takes requests.
        self.phase == Phase::Down && self.is_client_connected
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// How long each step of reaching a server may take. The dialer adapts them too.
    pub(super) const fn timeouts(&mut self) -> &mut Timeouts {
        &mut self.clocks.timeouts
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limits = self.clocks.limits(self.phase, self.backlog.oldest());
        self.clocks.ping_at(self.phase).into_iter().chain(limits.map(|(at, _)| at)).min()
    }

    /// Sends a ping if one is due, and gives up a server that does not answer.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.clocks.ping_at(self.phase).is_some_and(|at| now >= at) {
            let ping = wire::FrameBuilder::request(XID_PING, opcode::PING).finish();
            self.send(now, ping);
            self.clocks.pinged = Some(self.clocks.stamp(now));
        }
        let mut limits = self.clocks.limits(self.phase, self.backlog.oldest());
        if let Some((_, reason)) = limits.find(|(at, _)| now >= *at) {
            self.out.cut = Some(reason);
        }
    }

    /// Bytes arrived that do not complete a frame.
    pub(super) const fn progressed(&mut self, now: Instant) {
        self.clocks.progressed(now);
    }

    /// A connection to a server is open.
    pub(super) fn connected(&mut self, now: Instant) {
        self.phase = Phase::Connecting { since: now };
        self.is_outdated = false;
        self.clocks.connected(now);
        // Servers reject a client that has seen a later transaction than they have, and
        // do not say whether its session is over. An ensemble that has lost its data
        // would do so forever. Once the timeout has passed, learning of the expiry is
        // worth more than the order of reads.
        let timeouts = &self.clocks.timeouts;
        if now.saturating_duration_since(self.clocks.heard_at) > timeouts.granted() {
            self.last_zxid = 0;
        }
        let timeout_ms = timeouts.timeout_ms();
        self.send(now, wire::connect_request(self.session.as_ref(), self.last_zxid, timeout_ms));
    }

    /// The connection to the server is gone.
    pub(super) fn disconnected(&mut self, reason: DownReason) {
        if self.phase == Phase::Over {
            return;
        }
        let was_up = self.phase == Phase::Up;
        self.phase = Phase::Down;
        self.clocks.pinged = None;
        if matches!(reason, DownReason::Silent | DownReason::Unfinished) {
            self.clocks.timeouts.was_exhausted();
        }
        self.backlog.fail_all(&mut self.out, code::CONNECTION_LOSS, Unanswered::Disconnected);
        if was_up {
            let is_expected = self.is_outdated && reason == DownReason::HungUp;
            let reason = if is_expected { DownReason::Outdated } else { reason };
            self.out.events.push(Event::Suspended(reason));
        }
        if self.is_closing && self.session.is_none() {
            self.end_session();
        }
    }

    /// A frame from the server.
    pub(super) fn server_frame(&mut self, now: Instant, frame: Vec<u8>) {
        if self.out.cut.is_some() {
            // Frames that follow a garbled one are not trusted.
            return;
        }
        self.clocks.heard_at = now;
        let outcome = match self.phase {
            Phase::Connecting { .. } => self.connect_response(now, &frame),
            Phase::Authenticating { .. } | Phase::RestoringWatches { .. } | Phase::Up => {
                self.answer(now, frame)
            }
            // Late bytes of a connection that was given up already.
            Phase::Down | Phase::Over => Ok(()),
        };
        if let Err(Garbled(what)) = outcome {
            self.out.cut = Some(DownReason::Garbled(what));
        }
    }

    fn connect_response(&mut self, now: Instant, frame: &[u8]) -> Result<(), Garbled> {
        let ConnectResponse::Session { credentials, timeout_ms } = ConnectResponse::parse(frame)?
        else {
            if self.session.is_none() {
                return Err(Garbled("the expiry of a session that never began"));
            }
            self.end_session();
            return Ok(());
        };
        if self.session.as_ref().is_some_and(|ours| ours.id != credentials.id) {
            return Err(Garbled("a session that is not ours"));
        }
        self.session = Some(credentials);
        self.clocks.session_granted(now, Duration::from_millis(u64::from(timeout_ms)));
        if self.is_closing {
            self.send_close(now);
            return Ok(());
        }
        self.authenticate(now, 0);
        Ok(())
    }

    /// Sends the credential of this number; without one the watches come next.
    fn authenticate(&mut self, now: Instant, number: usize) {
        if let Some(body) = self.auth.body(number) {
            self.phase = Phase::Authenticating { since: now, number };
            self.clocks.handshake_sent = self.clocks.stamp(now);
            let request = wire::FrameBuilder::request(XID_AUTH, opcode::AUTH).raw(&body);
            self.send(now, request.finish());
        } else {
            self.restore_watches(now);
        }
    }

    fn auth_answered(&mut self, now: Instant, code: i32) -> Result<(), Garbled> {
        match (self.phase, code) {
            // Closing does not wait for this answer.
            _ if self.is_closing => {}
            (Phase::Authenticating { number, .. }, code::OK) => {
                self.clocks.answered(now, self.clocks.handshake_sent);
                self.authenticate(now, number + 1);
            }
            (Phase::Authenticating { .. }, code::SESSION_MOVED | code::SESSION_EXPIRED) => {
                self.out.cut = Some(DownReason::HungUp);
            }
            (Phase::Authenticating { .. }, _) => self.out.cut = Some(DownReason::AuthRefused),
            _ => return Err(Garbled("an answer to credentials that we did not send")),
        }
        Ok(())
    }

    fn restore_watches(&mut self, now: Instant) {
        self.phase = Phase::RestoringWatches { since: now };
        for path in self.backlog.watches.clone() {
            let body = wire::add_watch_body(&path);
            self.send_request(now, opcode::ADD_WATCH, &body, Origin::RestoredWatch);
        }
        self.queue_advanced();
    }

    fn answer(&mut self, now: Instant, mut frame: Vec<u8>) -> Result<(), Garbled> {
        let head = ReplyHead::parse(&frame)?;
        if head.zxid > 0 {
            self.last_zxid = self.last_zxid.max(head.zxid);
        }
        match head.xid {
            XID_EVENT => {
                if let Some((change, path)) = wire::parse_event(&frame[ReplyHead::BYTES..])?
                    && let Some(path) = self.chroot.within(path)
                {
                    self.out.events.push(Event::Hint(Hint { path, change }));
                }
                return Ok(());
            }
            // Pings have an xid of their own and are not queued, as in the reference
            // client: a server may answer one ahead of a slow request.
            XID_PING => {
                if let Some(sent) = self.clocks.pinged.take()
                    && head.code == code::OK
                {
                    self.clocks.answered(now, sent);
                }
                return Ok(());
            }
            XID_AUTH => return self.auth_answered(now, head.code),
            _ => {}
        }
        let body = &frame[ReplyHead::BYTES..];
        let mut is_small = true;
        match (head.code, self.backlog.head_for(head.xid)?) {
            (_, Origin::Close) => {}
            // Another server carries the session now, or the session is over. In either
            // case this connection must not be used for it; the next connect response
            // tells which it is.
            (code::SESSION_MOVED | code::SESSION_EXPIRED, _) => {
                self.out.cut = Some(DownReason::HungUp);
                return Ok(());
            }
            (code::OK, Origin::Client { opcode, .. }) => match wire::check_body(*opcode, body)? {
                CheckedBody::AsItIs => {}
                CheckedBody::Other(body) => {
                    frame.truncate(ReplyHead::BYTES);
                    frame.extend(body);
                }
                CheckedBody::TooMany => is_small = false,
            },
            _ => {}
        }
        let Some((sent, origin)) = self.backlog.pop() else { return Ok(()) };
        self.clocks.answered(now, sent);
        match origin {
            Origin::Client { xid, .. } if !is_small => self.out.bare_to_client(xid, code::TOO_MANY),
            Origin::Client { xid, .. } => {
                frame[..4].copy_from_slice(&xid.to_be_bytes());
                self.out.frame_to_client(&frame);
            }
            Origin::Abandoned | Origin::ClientPing => {}
            Origin::Own(request) => self.own_answered(request, head.code, &frame),
            Origin::RestoredWatch if head.code == code::OK => {}
            // An older server has replaced the one that accepted the watch. Changes would
            // go unnoticed from now on, so the session is ended and a new one begins.
            Origin::RestoredWatch | Origin::Close => {
                self.end_session();
                return Ok(());
            }
        }
        self.queue_advanced();
        Ok(())
    }

    fn own_answered(&mut self, request: OwnRequest, code: i32, frame: &[u8]) {
        self.is_outdated = code == code::UNIMPLEMENTED;
        if let Some(path) = request.watch
            && code == code::OK
        {
            self.backlog.remember(path);
        }
        // The caller may have stopped waiting.
        drop(request.answer.try_send(Ok((code, frame[ReplyHead::BYTES..].to_vec()))));
    }

    /// A frame from the client library.
    pub(super) fn client_frame(&mut self, now: Instant, frame: &[u8]) {
        if !self.is_client_connected {
            self.is_client_connected = true;
            self.out.to_client.extend(wire::dummy_connect_response());
            return;
        }
        let mut fields = wire::Fields::of(frame);
        let (Ok(xid), Ok(opcode)) = (fields.int(), fields.int()) else { return };
        // The library's xids grow without bound and would wrap into the reserved ones.
        let xid = xid.max(0);
        match (opcode, self.phase) {
            (opcode::CLOSE_SESSION, _) => {
                // The library's thread ends with this answer and in no other way.
                self.backlog.abandon_client(&mut self.out);
                self.out.bare_to_client(xid, code::OK);
            }
            (opcode::PING, Phase::Up) => {
                self.backlog.push_ping(self.clocks.stamp(now), &mut self.out);
            }
            // In the other phases no request of the library is queued ahead of it.
            (opcode::PING, _) => self.out.bare_to_client(XID_PING, code::OK),
            (_, Phase::Up) => {
                let body = suppress_watch(&self.backlog, opcode, &frame[8..]);
                self.send_request(now, opcode, &body, Origin::Client { xid, opcode });
            }
            (_, Phase::Over) => self.out.bare_to_client(xid, code::SESSION_EXPIRED),
            (
                _,
                Phase::Down
                | Phase::Connecting { .. }
                | Phase::Authenticating { .. }
                | Phase::RestoringWatches { .. },
            ) => self.out.bare_to_client(xid, code::CONNECTION_LOSS),
        }
    }

    /// A request of our own, on behalf of a caller.
    pub(super) fn own_request(&mut self, now: Instant, request: OwnRequest) {
        match self.phase {
            Phase::Up => {
                let body = request.body.clone();
                self.send_request(now, request.opcode, &body, Origin::Own(request));
            }
            Phase::Over => drop(request.answer.try_send(Err(Unanswered::SessionOver))),
            Phase::Down
            | Phase::Connecting { .. }
            | Phase::Authenticating { .. }
            | Phase::RestoringWatches { .. } => {
                drop(request.answer.try_send(Err(Unanswered::Disconnected)));
            }
        }
    }

    /// Ends the session, also at the server if one can be reached.
    pub(super) fn close(&mut self, now: Instant) {
        self.is_closing = true;
        self.clocks.lease.end();
        if self.session.is_some() {
            self.clocks.timeouts.begin_close();
        }
        self.backlog.abandon_client(&mut self.out);
        self.backlog.abandon_own();
        match self.phase {
            Phase::Up | Phase::Authenticating { .. } | Phase::RestoringWatches { .. } => {
                self.send_close(now);
            }
            Phase::Down if self.session.is_none() => self.end_session(),
            Phase::Connecting { .. } if self.session.is_some() => {
                self.phase = Phase::Connecting { since: now };
            }
            // The server may be creating a session: its response has to be awaited, or
            // that session would be left behind.
            Phase::Down | Phase::Connecting { .. } | Phase::Over => {}
        }
    }

    /// Ends the session here without asking a server; it is not kept alive any more.
    pub(super) fn declare_over(&mut self) {
        if self.phase != Phase::Over {
            self.end_session();
        }
    }

    fn send(&mut self, now: Instant, frame: Vec<u8>) {
        self.clocks.sent_at = now;
        if self.out.to_server.is_empty() {
            self.out.to_server = frame;
        } else {
            self.out.to_server.extend(frame);
        }
    }

    fn send_request(&mut self, now: Instant, opcode: i32, body: &[u8], origin: Origin) {
        let xid = self.backlog.push(self.clocks.stamp(now), origin);
        self.send(now, wire::FrameBuilder::request(xid, opcode).raw(body).finish());
    }

    fn send_close(&mut self, now: Instant) {
        self.phase = Phase::RestoringWatches { since: now };
        self.send_request(now, opcode::CLOSE_SESSION, &[], Origin::Close);
    }

    /// The head of the queue has changed: pings of the library may be answered now, and
    /// the last restored watch makes the session connected.
    fn queue_advanced(&mut self) {
        self.backlog.answer_pings(&mut self.out);
        let is_restoring = matches!(self.phase, Phase::RestoringWatches { .. });
        if !is_restoring || !self.backlog.is_empty() || self.is_closing {
            return;
        }
        self.phase = Phase::Up;
        if let Some(session) = &self.session {
            let session = SessionId(session.id);
            let granted = self.clocks.timeouts.granted();
            let is_new = !std::mem::replace(&mut self.was_up, true);
            self.out.events.push(Event::Connected { session, is_new, granted });
        }
    }

    fn end_session(&mut self) {
        self.phase = Phase::Over;
        self.clocks.lease.end();
        self.backlog.fail_all(&mut self.out, code::SESSION_EXPIRED, Unanswered::SessionOver);
        // An end that we asked for is not reported.
        if !self.is_closing {
            self.out.events.push(Event::Lost);
        }
    }
}
