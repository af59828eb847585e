//! Why a request failed.

use super::{ConnectError, ZnodePath};
use std::fmt;
use std::time::Duration;

/// The longest data that is sent. At 1 MiB a server with default settings closes the
/// connection, and all requests in flight fail.
pub const DATA_BYTES_MAX: usize = 1_000_000;

/// Why a request to ZooKeeper failed.
#[derive(Debug, thiserror::Error, Clone)]
#[non_exhaustive]
pub enum SessionError {
    /// The znode does not exist.
    #[error("no such znode: {0}")]
    NoNode(ZnodePath),
    /// The znode exists already.
    #[error("znode exists already: {0}")]
    NodeExists(ZnodePath),
    /// Another client has changed the znode meanwhile.
    #[error("somebody else changed {0} meanwhile")]
    BadVersion(ZnodePath),
    /// The znode has children.
    #[error("znode has children: {0}")]
    NotEmpty(ZnodePath),
    /// The access list of the znode forbids the request.
    #[error("not authorised: {0}")]
    NoAuth(ZnodePath),
    /// The server refused the access list for the znode.
    #[error("the server refused the access list of {0}")]
    InvalidAcl(ZnodePath),
    /// The servers that were reached refuse our credentials.
    #[error("not authorised: {0}")]
    AuthRefused(ConnectError),
    /// The parent is ephemeral, and an ephemeral znode has no children.
    #[error("an ephemeral znode can't have children: {0}")]
    NoChildrenForEphemerals(ZnodePath),
    /// The data is longer than a server accepts.
    #[error("{bytes} bytes are too many for {path} (at most {DATA_BYTES_MAX})")]
    TooLarge {
        /// The znode that should have held it.
        path: ZnodePath,
        /// The length of the data.
        bytes: usize,
    },
    /// There is more below a znode than is read.
    #[error("more than {max} {unit} below {path}")]
    TooMany {
        /// The znode.
        path: ZnodePath,
        /// How much is read.
        max: usize,
        /// Of what.
        unit: &'static str,
    },
    /// The server does not know this kind of request.
    #[error("the server is too old for this request")]
    Unsupported,
    /// The server refused the request with another code.
    #[error("the server refused: {path}: {code:?}")]
    Refused {
        /// The znode of the request.
        path: ZnodePath,
        /// The client library's name for the code.
        code: zookeeper::ZkError,
    },
    /// The answer could not be decoded.
    #[error("the answer about {0} makes no sense")]
    Garbled(ZnodePath),
    /// No server carries the session now. A write that was in flight may have happened or
    /// not: read before repeating it.
    #[error("the connection to ZooKeeper broke")]
    Disconnected,
    /// The session is over, and its ephemeral znodes with it.
    #[error("the ZooKeeper session is over")]
    Expired,
    /// No server could be reached in that time.
    #[error("no ZooKeeper server reached in {}{}", Rounded(*.tried), suffix(.last_error.as_ref()))]
    Unreachable {
        /// The latest error, if there was one.
        last_error: Option<ConnectError>,
        /// How long we tried.
        tried: Duration,
    },
    /// A server was reached, but the work was not done in that time.
    #[error("not done in {}", Rounded(*.0))]
    Overdue(Duration),
}

impl SessionError {
    /// Tells whether the same request may succeed later without anybody changing
    /// anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Disconnected | Self::Expired | Self::Unreachable { .. } | Self::Overdue(_)
        )
    }
}

fn suffix(error: Option<&ConnectError>) -> String {
    error.map_or_else(String::new, |error| format!(": {error}"))
}

/// A duration, rounded for a reader.
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
    fn times_are_rounded() {
        let table = [
            (0, "1 ms"),
            (5, "5 ms"),
            (999, "999 ms"),
            (1000, "1 s"),
            (10_004, "10 s"),
            (90_460, "90.5 s"),
        ];
        for (tried_ms, expected) in table {
            let error = SessionError::Overdue(Duration::from_millis(tried_ms));
            assert_eq!(error.to_string(), format!("not done in {expected}"));
        }
    }
}
