//! The errors of the test client.

use crate::wire::code;
use std::fmt;
use std::io;

/// Why a request failed.
#[derive(Debug)]
pub enum ZkError {
    /// The znode does not exist.
    NoNode,
    /// The znode exists already.
    NodeExists,
    /// The znode has another version.
    BadVersion,
    /// The znode has children.
    NotEmpty,
    /// The ACL forbids it.
    NoAuth,
    /// The session has expired or is unknown.
    SessionExpired,
    /// The server answered with another error code.
    Refused(i32),
    /// The connection failed.
    Io(io::Error),
}

impl ZkError {
    pub(super) const fn from_code(refusal: i32) -> Self {
        match refusal {
            code::NO_NODE => Self::NoNode,
            code::NODE_EXISTS => Self::NodeExists,
            code::BAD_VERSION => Self::BadVersion,
            code::NOT_EMPTY => Self::NotEmpty,
            code::NO_AUTH => Self::NoAuth,
            code::SESSION_EXPIRED => Self::SessionExpired,
            other => Self::Refused(other),
        }
    }
}

impl fmt::Display for ZkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNode => f.write_str("no such znode"),
            Self::NodeExists => f.write_str("the znode exists"),
            Self::BadVersion => f.write_str("the znode has another version"),
            Self::NotEmpty => f.write_str("the znode has children"),
            Self::NoAuth => f.write_str("not authorised"),
            Self::SessionExpired => f.write_str("the session is over"),
            Self::Refused(code) => write!(f, "refused with code {code}"),
            Self::Io(_) => f.write_str("the connection failed"),
        }
    }
}

impl std::error::Error for ZkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(e) => Some(e),
            Self::NoNode
            | Self::NodeExists
            | Self::BadVersion
            | Self::NotEmpty
            | Self::NoAuth
            | Self::SessionExpired
            | Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for ZkError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
