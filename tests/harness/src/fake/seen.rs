//! What an ensemble records for the test to look at.

use std::time::{Duration, Instant};

/// A request that reached a server, whether the server answered it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// When it arrived.
    pub at: Instant,
    /// The kind of request; see [`op`](crate::op).
    pub opcode: i32,
    /// The znode it is about; of a multi, the path of the first part.
    pub path: Option<String>,
    /// The client's session; 0 if the request follows a handshake that is not answered yet.
    pub session: i64,
    /// The request's number within its connection.
    pub xid: i32,
}

/// A session that the ensemble keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Its id.
    pub id: i64,
    /// The session expires after this much silence.
    pub timeout: Duration,
    /// Whether the session has a connection now.
    pub is_connected: bool,
}
