//! What goes into the link and comes out of it.

use crate::session::{Event, wire};
use std::sync::mpsc::SyncSender;

/// Why a connection to a server ended.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// The server closed it, or the network broke it.
    #[error("it hung up")]
    HungUp,
    /// The server owed an answer for too long.
    #[error("it fell silent")]
    Silent,
    /// The server sent something, and no whole answer for too long.
    #[error("it did not get to the end of an answer")]
    Unfinished,
    /// The server sent what no server sends.
    #[error("it sent {0}")]
    Garbled(&'static str),
    /// The server does not take our credentials.
    #[error("it refused our credentials")]
    AuthRefused,
    /// The server does not know a kind of request, and hangs up on who makes it.
    #[error("it is too old for a request, which is not made again")]
    Outdated,
}

/// How a request of our own ended: the server's code and the body.
pub(in super::super) type OwnAnswer = Result<(i32, Vec<u8>), Unanswered>;

/// A request of our own got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Unanswered {
    /// The connection broke, or there is none.
    Disconnected,
    /// The session is over.
    Over,
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

/// What the machine wants done.
#[derive(Debug, Default)]
pub(in super::super) struct Out {
    /// Bytes for the server.
    pub(in super::super) to_server: Vec<u8>,
    /// Bytes for the client library.
    pub(in super::super) to_client: Vec<u8>,
    /// What happened to the session, in order: the only truth about it.
    pub(in super::super) events: Vec<Event>,
    /// The connection to the server has to go.
    pub(in super::super) cut: Option<DownReason>,
}

impl Out {
    pub(super) fn frame_to_client(&mut self, frame: &[u8]) {
        let length = i32::try_from(frame.len()).unwrap_or(i32::MAX);
        self.to_client.extend(length.to_be_bytes());
        self.to_client.extend(frame);
    }

    pub(super) fn bare_to_client(&mut self, xid: i32, code: i32) {
        self.to_client.extend(wire::bare_reply(xid, code));
    }
}
