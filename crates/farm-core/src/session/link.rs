//! The link between one session and whatever server carries it, as a pure machine.
//!
//! Frames and the time go in; frames, answers and events come out through
//! [`Out`]. The relay's thread does the reading, writing and dialling.
//!
//! **Invariant.** One queue holds every request in the order in which it went to
//! the server, and an answer is only ever taken for the request at its head. An
//! answer to anything else ends the connection: a client library that matches by
//! order alone would otherwise hand one znode's bytes to the reader of another.

mod backlog;
mod messages;
mod suppress_watch;
mod time;

#[cfg(test)]
mod tests;

pub use messages::DownReason;
pub(super) use messages::{Out, OwnAnswer, OwnRequest, Unanswered};

use super::lease::Lease;
use super::timeouts::Timeouts;
use super::wire::{
    self, Credentials, Garbled, ReplyHead, Welcome, XID_AUTH, XID_EVENT, XID_PING, code, opcode,
};
use super::{Auth, Event, Hint, SessionId, ZnodePath};
use crate::engine::Boottime;
use backlog::{Backlog, Origin};
use std::time::{Duration, Instant};
use suppress_watch::suppress_watch;
use time::Clocks;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No connection.
    Down,
    /// Connected and greeted, no answer yet.
    Greeting { since: Instant },
    /// Welcomed; the credential of that number has been shown. Nothing else is under
    /// way: a server answers these past every other request.
    Proving { since: Instant, number: usize },
    /// Known to the server; remembered watches are being set again.
    Rewatching { since: Instant },
    /// In use.
    Up,
    /// The session is over: expired, closed, or given up.
    Over,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    auth: Auth,
    /// A change outside of it is none of ours.
    chroot: ZnodePath,
    session: Option<Credentials>,
    last_zxid: i64,
    backlog: Backlog,
    clocks: Clocks,
    is_client_greeted: bool,
    is_closing: bool,
    /// The session was told to be connected at least once.
    was_up: bool,
    /// The server has refused a request in a way after which old ones hang up.
    is_outdated: bool,
    pub(super) out: Out,
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
            is_client_greeted: false,
            is_closing: false,
            was_up: false,
            is_outdated: false,
            out: Out::default(),
        }
    }

    pub(super) fn lease(&self) -> Lease {
        self.clocks.lease.lease()
    }

    /// What the clock of the lease shows before anything is sent in this turn.
    pub(super) const fn set_boottime(&mut self, boottime: Boottime) {
        self.clocks.boottime = boottime;
    }

    /// Tells whether a server should be looked for.
    pub(super) fn wants_server(&self) -> bool {
        self.phase == Phase::Down
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// How long one step of reaching a server may take; it grows with what is found out
    /// about servers on the way.
    pub(super) const fn timeouts(&mut self) -> &mut Timeouts {
        &mut self.clocks.timeouts
    }

    /// A connection to a server stands.
    pub(super) fn connected(&mut self, now: Instant) {
        self.phase = Phase::Greeting { since: now };
        self.is_outdated = false;
        self.clocks.connected(now);
        // Servers turn away who has seen more than they have, without a word about the
        // session. An ensemble that has lost its data would do so for ever; once the
        // timeout has passed, being told of the expiry is worth more than the order.
        let timeouts = &self.clocks.timeouts;
        if now.saturating_duration_since(self.clocks.heard_at) > timeouts.granted() {
            self.last_zxid = 0;
        }
        let timeout_ms = timeouts.timeout_ms();
        self.send(now, wire::greeting(self.session.as_ref(), self.last_zxid, timeout_ms));
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
            self.finish();
        }
    }

    /// One frame from the server.
    pub(super) fn server_frame(&mut self, now: Instant, frame: Vec<u8>) {
        if self.out.cut.is_some() {
            // What follows a frame that made no sense makes none either.
            return;
        }
        self.clocks.heard_at = now;
        let outcome = match self.phase {
            Phase::Greeting { .. } => self.welcome(now, &frame),
            Phase::Proving { .. } | Phase::Rewatching { .. } | Phase::Up => self.answer(now, frame),
            // Late bytes of a connection that we have given up already.
            Phase::Down | Phase::Over => Ok(()),
        };
        if let Err(Garbled(what)) = outcome {
            self.out.cut = Some(DownReason::Garbled(what));
        }
    }

    fn welcome(&mut self, now: Instant, frame: &[u8]) -> Result<(), Garbled> {
        let Welcome::Session { credentials, timeout_ms } = Welcome::parse(frame)? else {
            if self.session.is_none() {
                return Err(Garbled("an expiry of a session that never was"));
            }
            self.finish();
            return Ok(());
        };
        if self.session.as_ref().is_some_and(|ours| ours.id != credentials.id) {
            return Err(Garbled("a session that is not ours"));
        }
        self.session = Some(credentials);
        self.clocks.welcomed(now, Duration::from_millis(u64::from(timeout_ms)));
        if self.is_closing {
            self.send_close(now);
            return Ok(());
        }
        self.prove(now, 0);
        Ok(())
    }

    /// Shows the credential of that number, or goes on if there are no more.
    fn prove(&mut self, now: Instant, number: usize) {
        if let Some(body) = self.auth.body(number) {
            self.phase = Phase::Proving { since: now, number };
            self.clocks.introduced = self.clocks.stamp(now);
            let request = wire::FrameBuilder::request(XID_AUTH, opcode::AUTH).raw(&body);
            self.send(now, request.finish());
        } else {
            self.rewatch(now);
        }
    }

    fn proof_answered(&mut self, now: Instant, code: i32) -> Result<(), Garbled> {
        match (self.phase, code) {
            // Closing does not wait for it.
            _ if self.is_closing => {}
            (Phase::Proving { number, .. }, code::OK) => {
                self.clocks.answered(now, self.clocks.introduced);
                self.prove(now, number + 1);
            }
            (Phase::Proving { .. }, code::SESSION_MOVED | code::SESSION_EXPIRED) => {
                self.out.cut = Some(DownReason::HungUp);
            }
            (Phase::Proving { .. }, _) => self.out.cut = Some(DownReason::AuthRefused),
            _ => return Err(Garbled("an answer to credentials that it was not shown")),
        }
        Ok(())
    }

    fn rewatch(&mut self, now: Instant) {
        self.phase = Phase::Rewatching { since: now };
        for path in self.backlog.watches.clone() {
            let body = wire::add_watch_body(&path);
            self.send_request(now, opcode::ADD_WATCH, &body, Origin::Rewatch);
        }
        self.settle();
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
            // Pings have a number of their own and stand outside of the queue, as in
            // the reference client: a server may answer one past a slow request.
            XID_PING => {
                if let Some(sent) = self.clocks.pinged.take()
                    && head.code == code::OK
                {
                    self.clocks.answered(now, sent);
                }
                return Ok(());
            }
            XID_AUTH => return self.proof_answered(now, head.code),
            _ => {}
        }
        let body = &frame[ReplyHead::BYTES..];
        match (head.code, self.backlog.asked(head.xid)?) {
            (_, Origin::Close) => {}
            // Another server carries the session now, or it is over: either way this one
            // must not be used for it, and the next greeting tells which.
            (code::SESSION_MOVED | code::SESSION_EXPIRED, _) => {
                self.out.cut = Some(DownReason::HungUp);
                return Ok(());
            }
            (code::OK, Origin::Client { opcode, .. }) => wire::check_body(*opcode, body)?,
            _ => {}
        }
        let Some((sent, origin)) = self.backlog.pop() else { return Ok(()) };
        self.clocks.answered(now, sent);
        match origin {
            Origin::Client { xid, .. } => {
                frame[..4].copy_from_slice(&xid.to_be_bytes());
                self.out.frame_to_client(&frame);
            }
            Origin::Abandoned | Origin::ClientPing => {}
            Origin::Own(request) => self.answer_own(request, head.code, &frame),
            Origin::Rewatch if head.code == code::OK => {}
            // A server of an older version took the place of the one that knew the
            // watch: nothing would be seen any more, so begin anew.
            Origin::Rewatch | Origin::Close => {
                self.finish();
                return Ok(());
            }
        }
        self.settle();
        Ok(())
    }

    fn answer_own(&mut self, request: OwnRequest, code: i32, frame: &[u8]) {
        self.is_outdated = code == code::UNIMPLEMENTED;
        if let Some(path) = request.watch
            && code == code::OK
        {
            self.backlog.remember(path);
        }
        // Who asked may have stopped waiting.
        drop(request.answer.try_send(Ok((code, frame[ReplyHead::BYTES..].to_vec()))));
    }

    /// One frame from the client library.
    pub(super) fn client_frame(&mut self, now: Instant, frame: &[u8]) {
        if !self.is_client_greeted {
            self.is_client_greeted = true;
            self.out.to_client.extend(wire::dummy_welcome());
            return;
        }
        let mut fields = wire::Fields::of(frame);
        let (Ok(xid), Ok(opcode)) = (fields.int(), fields.int()) else { return };
        // The library counts up for ever; it must not meet a reserved number.
        let xid = xid.max(0);
        match (opcode, self.phase) {
            (opcode::CLOSE_SESSION, _) => {
                // Its thread ends with this answer, and with nothing else.
                self.backlog.abandon_client(&mut self.out);
                self.out.bare_to_client(xid, code::OK);
            }
            (opcode::PING, Phase::Up) => {
                self.backlog.push_ping(self.clocks.stamp(now), &mut self.out);
            }
            // Only while in use does anything of the library's wait in the queue.
            (opcode::PING, _) => self.out.bare_to_client(XID_PING, code::OK),
            (_, Phase::Up) => {
                let body = suppress_watch(&self.backlog, opcode, &frame[8..]);
                self.send_request(now, opcode, &body, Origin::Client { xid, opcode });
            }
            (_, Phase::Over) => self.out.bare_to_client(xid, code::SESSION_EXPIRED),
            (
                _,
                Phase::Down
                | Phase::Greeting { .. }
                | Phase::Proving { .. }
                | Phase::Rewatching { .. },
            ) => self.out.bare_to_client(xid, code::CONNECTION_LOSS),
        }
    }

    /// A request on behalf of a caller.
    pub(super) fn own_request(&mut self, now: Instant, request: OwnRequest) {
        match self.phase {
            Phase::Up => {
                let body = request.body.clone();
                self.send_request(now, request.opcode, &body, Origin::Own(request));
            }
            Phase::Over => drop(request.answer.try_send(Err(Unanswered::Over))),
            Phase::Down
            | Phase::Greeting { .. }
            | Phase::Proving { .. }
            | Phase::Rewatching { .. } => {
                drop(request.answer.try_send(Err(Unanswered::Disconnected)));
            }
        }
    }

    /// Ends the session, at the server too if one can be reached.
    pub(super) fn close(&mut self, now: Instant) {
        self.is_closing = true;
        self.clocks.lease.end();
        if self.session.is_some() {
            self.clocks.timeouts.leave();
        }
        self.backlog.abandon_client(&mut self.out);
        self.backlog.abandon_own();
        match self.phase {
            Phase::Up | Phase::Proving { .. } | Phase::Rewatching { .. } => self.send_close(now),
            Phase::Down if self.session.is_none() => self.finish(),
            Phase::Greeting { .. } if self.session.is_some() => {
                self.phase = Phase::Greeting { since: now };
            }
            // A welcome on its way may be that of a session we would leave behind.
            Phase::Down | Phase::Greeting { .. } | Phase::Over => {}
        }
    }

    /// Declares the session over, whatever the server thinks: nobody tends it any more.
    pub(super) fn give_up(&mut self) {
        if self.phase != Phase::Over {
            self.finish();
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
        self.phase = Phase::Rewatching { since: now };
        self.send_request(now, opcode::CLOSE_SESSION, &[], Origin::Close);
    }

    /// Does what had to wait for the head of the queue.
    fn settle(&mut self) {
        self.backlog.answer_pings(&mut self.out);
        let is_rewatching = matches!(self.phase, Phase::Rewatching { .. });
        if !is_rewatching || !self.backlog.is_empty() || self.is_closing {
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

    fn finish(&mut self) {
        self.phase = Phase::Over;
        self.clocks.lease.end();
        self.backlog.fail_all(&mut self.out, code::SESSION_EXPIRED, Unanswered::Over);
        // An end that we asked for is no news.
        if !self.is_closing {
            self.out.events.push(Event::Lost);
        }
    }
}
