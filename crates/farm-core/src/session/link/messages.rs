//! The input and output of the link.

use crate::session::{DownReason, Event, wire};
use std::sync::mpsc::SyncSender;

/// How a request of our own ended: the server's code and the body.
pub(in super::super) type OwnAnswer = Result<(i32, Vec<u8>), Unanswered>;

/// Why a request of our own got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Unanswered {
    /// The connection broke, or there is none.
    Disconnected,
    /// The session is over.
    SessionOver,
}

/// A request that the relay makes itself.
#[derive(Debug)]
pub(in super::super) struct OwnRequest {
    pub(in super::super) opcode: i32,
    pub(in super::super) body: Vec<u8>,
    /// A watch to set again on every later server, once this one has accepted it.
    pub(in super::super) watch: Option<String>,
    pub(in super::super) answer: SyncSender<OwnAnswer>,
}

/// What the relay has to do for the link.
#[derive(Debug, Default)]
pub(in super::super) struct Output {
    /// Bytes for the server.
    pub(in super::super) to_server: Vec<u8>,
    /// Bytes for the client library.
    pub(in super::super) to_client: Vec<u8>,
    /// What happened to the session, in order: the only truth about it.
    pub(in super::super) events: Vec<Event>,
    /// Why the connection to the server has to be closed.
    pub(in super::super) cut: Option<DownReason>,
}

impl Output {
    pub(super) fn frame_to_client(&mut self, frame: &[u8]) {
        let length = i32::try_from(frame.len()).unwrap_or(i32::MAX);
        self.to_client.extend(length.to_be_bytes());
        self.to_client.extend(frame);
    }

    pub(super) fn bare_to_client(&mut self, xid: i32, code: i32) {
        self.to_client.extend(wire::bare_reply(xid, code));
    }
}
