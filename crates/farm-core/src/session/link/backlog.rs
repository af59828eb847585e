//! What waits for an answer, and how it is answered when none will come.

use super::time::Sent;
use super::{Out, OwnRequest, Unanswered};
use crate::session::wire::{Garbled, XID_PING, code};
use std::collections::VecDeque;

#[derive(Debug)]
pub(super) enum Origin {
    /// The client library asked, under this number.
    Client { xid: i32, opcode: i32 },
    /// The client library pinged; nothing was sent to the server.
    ClientPing,
    /// The client library asked and has gone since.
    Abandoned,
    /// We asked on behalf of a caller.
    Own(OwnRequest),
    /// We set a remembered watch again.
    Rewatch,
    /// We close the session.
    Close,
}

#[derive(Debug)]
struct Pending {
    xid: i32,
    sent: Sent,
    origin: Origin,
}

/// Every request that waits, in the order in which it went to the server, and the watches
/// that came of some of them.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    queue: VecDeque<Pending>,
    pub(super) last_xid: i32,
    /// Trees whose watch a server has accepted: it is set again on every later one.
    pub(super) watches: Vec<String>,
}

impl Backlog {
    /// A request goes out, under the number that is returned.
    pub(super) fn push(&mut self, sent: Sent, origin: Origin) -> i32 {
        // Numbers of our own for every request: one rule matches all answers, and
        // the library's, which wrap around, never meet the reserved ones.
        self.last_xid = if self.last_xid == i32::MAX { 1 } else { self.last_xid + 1 };
        self.queue.push_back(Pending { xid: self.last_xid, sent, origin });
        self.last_xid
    }

    /// The library pinged, and is answered in its turn.
    pub(super) fn push_ping(&mut self, sent: Sent, out: &mut Out) {
        self.queue.push_back(Pending { xid: 0, sent, origin: Origin::ClientPing });
        self.answer_pings(out);
    }

    /// Answers the pings of the library that have come to the head.
    pub(super) fn answer_pings(&mut self, out: &mut Out) {
        while self.queue.pop_front_if(|head| matches!(head.origin, Origin::ClientPing)).is_some() {
            out.bare_to_client(XID_PING, code::OK);
        }
    }

    /// One that is not answered yet counts too, for it is on the wire before what follows.
    /// A server that refuses it hangs up, and then everything is read again.
    pub(super) fn watches_tree(&self, path: &str) -> bool {
        let asked_for = self.queue.iter().filter_map(|pending| match &pending.origin {
            Origin::Own(request) => request.watch.as_ref(),
            Origin::Client { .. }
            | Origin::ClientPing
            | Origin::Abandoned
            | Origin::Rewatch
            | Origin::Close => None,
        });
        self.watches.iter().chain(asked_for).any(|watched| watched == path)
    }

    /// A server has accepted a watch.
    pub(super) fn remember(&mut self, watch: String) {
        if !self.watches.contains(&watch) {
            self.watches.push(watch);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// When the request at the head went out.
    pub(super) fn oldest(&self) -> Option<Sent> {
        self.queue.front().map(|pending| pending.sent)
    }

    /// What an answer with that number is to.
    pub(super) fn asked(&self, xid: i32) -> Result<&Origin, Garbled> {
        let head = self.queue.front().filter(|pending| pending.xid == xid);
        head.map(|pending| &pending.origin).ok_or(Garbled("an answer to no request of ours"))
    }

    pub(super) fn pop(&mut self) -> Option<(Sent, Origin)> {
        self.queue.pop_front().map(|pending| (pending.sent, pending.origin))
    }

    /// Answers everything that waits, in order, with an error.
    pub(super) fn fail_all(&mut self, out: &mut Out, code: i32, why: Unanswered) {
        for pending in std::mem::take(&mut self.queue) {
            match pending.origin {
                Origin::Client { xid, .. } => out.bare_to_client(xid, code),
                Origin::ClientPing => out.bare_to_client(XID_PING, self::code::OK),
                Origin::Own(request) => drop(request.answer.try_send(Err(why))),
                Origin::Abandoned | Origin::Rewatch | Origin::Close => {}
            }
        }
    }

    /// Answers what the library waits for; the server's own answers will find nobody.
    pub(super) fn abandon_client(&mut self, out: &mut Out) {
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
                Origin::Abandoned | Origin::Own(_) | Origin::Rewatch | Origin::Close => {}
            }
            self.queue.push_back(pending);
        }
    }

    pub(super) fn abandon_own(&mut self) {
        for pending in &mut self.queue {
            if let Origin::Own(request) = &pending.origin {
                drop(request.answer.try_send(Err(Unanswered::Disconnected)));
                pending.origin = Origin::Abandoned;
            }
        }
    }
}
