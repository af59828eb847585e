//! What waits for an answer, and how it is answered when none will come.

use super::{Link, OwnRequest, Phase, Unanswered};
use crate::engine::Boottime;
use crate::session::wire::{self, XID_PING, code};
use std::time::Instant;

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
pub(super) struct Pending {
    pub(super) xid: i32,
    pub(super) sent_at: Instant,
    /// The same, on the clock of the lease.
    pub(super) sent: Boottime,
    pub(super) origin: Origin,
}

impl Link {
    /// Answers everything that waits, in order, with an error.
    pub(super) fn fail_all(&mut self, code: i32) {
        let why = match self.phase {
            Phase::Over => Unanswered::Over,
            _ => Unanswered::Disconnected,
        };
        for pending in std::mem::take(&mut self.queue) {
            match pending.origin {
                Origin::Client { xid, .. } => self.bare_to_client(xid, code),
                Origin::ClientPing => self.bare_to_client(XID_PING, self::code::OK),
                Origin::Own(request) => drop(request.answer.try_send(Err(why))),
                Origin::Abandoned | Origin::Rewatch | Origin::Close => {}
            }
        }
    }

    /// Answers what the library waits for; the server's own answers will find nobody.
    pub(super) fn abandon_client(&mut self) {
        for mut pending in std::mem::take(&mut self.queue) {
            match pending.origin {
                Origin::Client { xid, .. } => {
                    self.bare_to_client(xid, code::CONNECTION_LOSS);
                    pending.origin = Origin::Abandoned;
                }
                Origin::ClientPing => {
                    self.bare_to_client(XID_PING, code::OK);
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

    pub(super) fn frame_to_client(&mut self, frame: &[u8]) {
        let length = i32::try_from(frame.len()).unwrap_or(i32::MAX);
        self.out.to_client.extend(length.to_be_bytes());
        self.out.to_client.extend(frame);
    }

    pub(super) fn bare_to_client(&mut self, xid: i32, code: i32) {
        self.out.to_client.extend(wire::bare_reply(xid, code));
    }
}
