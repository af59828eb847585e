//! The requests that wait for an answer, and how they are answered when none will come.

use super::clocks::Sent;
use super::{Output, OwnRequest, Unanswered};
use crate::session::wire::{Garbled, XID_PING, code};
use std::collections::VecDeque;

/// The recipient of the answer to a request.
#[derive(Debug)]
pub(super) enum Origin {
    /// The client library, which gave the request this xid.
    Client { xid: i32, opcode: i32 },
    /// The client library, for a ping; nothing was sent to the server.
    ClientPing,
    /// The requester no longer waits.
    Abandoned,
    /// We asked on behalf of a caller.
    Own(OwnRequest),
    /// We set a remembered watch again.
    RestoredWatch,
    /// We close the session.
    Close,
}

#[derive(Debug)]
struct Pending {
    xid: i32,
    sent: Sent,
    origin: Origin,
}

/// The unanswered requests, in the order in which they were sent to the server, and the
/// persistent watches that servers have accepted.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Pending>,
    pub(super) last_xid: i32,
    /// Trees whose watch a server has accepted: it is set again on every later one.
    pub(super) watches: Vec<String>,
}

impl Backlog {
    /// Queues a request that is about to be sent with the returned xid.
    pub(super) fn push(&mut self, sent: Sent, origin: Origin) -> i32 {
        // Every request gets an xid of our own: one rule matches all answers, and the
        // library's xids, which wrap around, never collide with the reserved ones.
        self.last_xid = if self.last_xid == i32::MAX { 1 } else { self.last_xid + 1 };
        self.queue.push_back(Pending { xid: self.last_xid, sent, origin });
        self.last_xid
    }

    /// Queues a ping of the library, which is answered in its turn.
    pub(super) fn push_ping(&mut self, sent: Sent, out: &mut Output) {
        self.queue.push_back(Pending { xid: 0, sent, origin: Origin::ClientPing });
        self.answer_pings(out);
    }

    /// Answers the pings of the library that have reached the head of the queue.
    pub(super) fn answer_pings(&mut self, out: &mut Output) {
        while self.queue.pop_front_if(|head| matches!(head.origin, Origin::ClientPing)).is_some() {
            out.bare_to_client(XID_PING, code::OK);
        }
    }

    /// Tells whether the tree below this path is watched. A watch that is not answered
    /// yet counts too, because the server receives it before what is sent next. A server
    /// that refuses it closes the connection, and then everything is read again.
    pub(super) fn watches_tree(&self, path: &str) -> bool {
        let requested = self.queue.iter().filter_map(|pending| match &pending.origin {
            Origin::Own(request) => request.watch.as_ref(),
            Origin::Client { .. }
            | Origin::ClientPing
            | Origin::Abandoned
            | Origin::RestoredWatch
            | Origin::Close => None,
        });
        self.watches.iter().chain(requested).any(|watched| watched == path)
    }

    /// Remembers a watch that a server has accepted.
    pub(super) fn remember(&mut self, watch: String) {
        if !self.watches.contains(&watch) {
            self.watches.push(watch);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the request at the head was sent.
    pub(super) fn oldest(&self) -> Option<Sent> {
        self.queue.front().map(|pending| pending.sent)
    }

    /// The request at the head, if it has this xid.
    pub(super) fn head_for(&self, xid: i32) -> Result<&Origin, Garbled> {
        let head = self.queue.front().filter(|pending| pending.xid == xid);
        head.map(|pending| &pending.origin).ok_or(Garbled("an answer to no request of ours"))
    }

    pub(super) fn pop(&mut self) -> Option<(Sent, Origin)> {
        self.queue.pop_front().map(|pending| (pending.sent, pending.origin))
    }

    /// Answers all requests, in order, with an error.
    pub(super) fn fail_all(&mut self, out: &mut Output, code: i32, why: Unanswered) {
        for pending in std::mem::take(&mut self.queue) {
            match pending.origin {
                Origin::Client { xid, .. } => out.bare_to_client(xid, code),
                Origin::ClientPing => out.bare_to_client(XID_PING, self::code::OK),
                Origin::Own(request) => drop(request.answer.try_send(Err(why))),
                Origin::Abandoned | Origin::RestoredWatch | Origin::Close => {}
            }
        }
    }

    /// Answers the library's requests with an error; the server's own answers to them
    /// will be ignored.
    pub(super) fn abandon_client(&mut self, out: &mut Output) {
        for mut pending in std::mem::take(&mut self.queue) {
            match pending.origin {
                Origin::Client { xid, .. } => {
                    out.bare_to_client(xid, code::CONNECTION_LOSS);
                    pending.origin = Origin::Abandoned;
                }
                Origin::ClientPing => {
                    out.bare_to_client(XID_PING, code::OK);
                    continue;
                }
                Origin::Abandoned | Origin::Own(_) | Origin::RestoredWatch | Origin::Close => {}
            }
            self.queue.push_back(pending);
        }
    }

    /// The same for requests of our own.
    pub(super) fn abandon_own(&mut self) {
        for pending in &mut self.queue {
            if let Origin::Own(request) = &pending.origin {
                drop(request.answer.try_send(Err(Unanswered::Disconnected)));
                pending.origin = Origin::Abandoned;
            }
        }
    }
}
