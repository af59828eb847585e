//! How a request can fail.

use super::{ConnectError, ZnodePath};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest data of a znode that is sent. At 1 MiB a server with its usual
/// settings cuts the connection, and everybody else's requests fail with it.
pub const DATA_BYTES_MAX: usize = 1_000_000;

/// Why a request to ZooKeeper failed.
#[derive(Debug, thiserror::Error, Clone)]
#[non_exhaustive]
pub enum SessionError {
    /// There is no such znode.
    #[error("no such znode: {0}")]
    NoNode(ZnodePath),
    /// There is such a znode already.
    #[error("znode exists already: {0}")]
    NodeExists(ZnodePath),
    /// The znode was changed by somebody else meanwhile.
    #[error("somebody else changed {0} meanwhile")]
    BadVersion(ZnodePath),
    /// The znode has children.
    #[error("znode has children: {0}")]
    NotEmpty(ZnodePath),
    /// Its access list forbids it.
    #[error("not authorised: {0}")]
    NoAuth(ZnodePath),
    /// The server does not take the access list for it.
    #[error("the server refused the access list of {0}")]
    InvalidAcl(ZnodePath),
    /// The servers that were reached do not take our credentials.
    #[error("not authorised: {0}")]
    AuthRefused(ConnectError),
    /// The parent is ephemeral, and such znodes have no children.
    #[error("an ephemeral znode can't have children: {0}")]
    NoChildrenForEphemerals(ZnodePath),
    /// The data is longer than a server takes.
    #[error("{bytes} bytes are too many for {path} (at most {DATA_BYTES_MAX})")]
    TooLarge {
        /// Where it should have gone.
        path: ZnodePath,
        /// How long it is.
        bytes: usize,
    },
    /// The server does not know this kind of request.
    #[error("the server is too old for this request")]
    Unsupported,
    /// The server refused with a code that has no meaning here.
    #[error("the server refused: {path}: {code:?}")]
    Refused {
        /// What the request was about.
        path: ZnodePath,
        /// The client library's name for the code.
        code: zookeeper::ZkError,
    },
    /// The answer made no sense.
    #[error("an answer about {0} that makes no sense")]
    Garbled(ZnodePath),
    /// No server carries the session now. A write that was under way may have
    /// happened or not: look before repeating it.
    #[error("the connection to ZooKeeper broke")]
    Disconnected,
    /// The session is over, and its ephemeral znodes with it.
    #[error("the ZooKeeper session is over")]
    Expired,
    /// No server could be reached in that time.
    #[error("no ZooKeeper server reached in {}{}", Rounded(*.tried), behind(.trouble.as_ref()))]
    Unreachable {
        /// The latest thing that went wrong, if anything did.
        trouble: Option<ConnectError>,
        /// How long we tried.
        tried: Duration,
    },
    /// A server was reached, but did not do it in that time.
    #[error("not done in {}", Rounded(*.0))]
    Overdue(Duration),
    /// This process can't have what a session needs: a socket, a thread.
    #[error("cannot open a session: {0}")]
    System(Arc<std::io::Error>),
}

impl SessionError {
    /// Tells whether the same request may well succeed later, with no change
    /// on anybody's side.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Disconnected | Self::Expired | Self::Unreachable { .. } | Self::Overdue(_)
        )
    }
}

fn behind(trouble: Option<&ConnectError>) -> String {
    trouble.map_or_else(String::new, |trouble| format!(": {trouble}"))
}

/// A duration as precise as a reader wants it.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(1) {
            return write!(f, "{} ms", self.0.as_millis().max(1));
        }
        write!(f, "{} s", (self.0.as_secs_f64() * 10.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_was_tried_is_told_in_round_numbers() {
        let table = [
            (0, "1 ms"),
            (5, "5 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (10_004, "10 s"),
            (90_460, "90.5 s"),
        ];
        for (tried_ms, told) in table {
            let error = SessionError::Overdue(Duration::from_millis(tried_ms));
            assert_eq!(error.to_string(), format!("not done in {told}"));
        }
    }
}
