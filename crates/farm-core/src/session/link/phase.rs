//! How far the link has come with its server.

use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No connection.
    Down,
    /// The connect request was sent, and is not answered yet.
    Connecting { since: Instant },
    /// The server has taken the session and was sent the credential of this number.
    /// No other request is in flight: a server answers credentials ahead of them.
    Authenticating { since: Instant, number: usize },
    /// The credentials were accepted; remembered watches are being set again.
    RestoringWatches { since: Instant },
    /// In use.
    Up,
    /// The session has expired, was closed, or was declared over.
    Over,
}
