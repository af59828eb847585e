//! The tool's state, as the service manager shows it.

use farm_core::session::ZnodePath;
use std::fmt;

/// The state, with the path of the znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status<'a> {
    /// No server was reached yet.
    Searching,
    /// No server carries the session; we had joined before.
    Away(&'a ZnodePath),
    /// Another session owns the name.
    Waiting(&'a ZnodePath),
    Joining(&'a ZnodePath),
    Joined(&'a ZnodePath),
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Searching => f.write_str("looking for ZooKeeper"),
            Self::Away(path) => write!(f, "ZooKeeper is away, {path} may be gone"),
            Self::Waiting(path) => write!(f, "waiting for {path}, which is taken"),
            Self::Joining(path) => write!(f, "joining as {path}"),
            Self::Joined(path) => write!(f, "joined as {path}"),
        }
    }
}
