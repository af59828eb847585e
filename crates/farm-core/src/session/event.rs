//! What happens to a session.

use super::{ConnectError, DownReason, Hint, SessionError, SessionId};
use std::time::Duration;

/// What happens to a session.
#[derive(Debug, Clone)]
pub enum Event {
    /// A server carries the session. Everything that was read before may be out of
    /// date, and the watches that reads had left are gone: read again.
    Connected {
        /// The session.
        session: SessionId,
        /// Whether the session is a new one.
        is_new: bool,
        /// How long the server keeps the session without hearing from us, within bounds.
        granted: Duration,
    },
    /// No server carries the session now, for this reason; the session may live on.
    Suspended(DownReason),
    /// The session is over and its ephemeral znodes are gone: call
    /// [`Session::renew`](super::Session::renew).
    Lost,
    /// A watched znode changed.
    Hint(Hint),
    /// No server could be reached in the allowed number of rounds.
    GaveUp(SessionError),
    /// A whole round over all servers failed, and one of them refused our credentials.
    /// Further rounds follow.
    AuthRefused(ConnectError),
}

#[cfg(test)]
impl Event {
    pub(crate) fn connected(session: i64, is_new: bool) -> Self {
        let granted = Duration::from_secs(10);
        Self::Connected { session: SessionId(session), is_new, granted }
    }

    pub(crate) const fn suspended() -> Self {
        Self::Suspended(DownReason::HungUp)
    }
}
