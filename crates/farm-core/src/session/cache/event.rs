//! The input and output of a cache.

use super::request::{Answer, Request};
use crate::session::{self, ReaderEvent, SessionError, Stat, ZnodePath};

/// What happened.
pub type Event<V> = ReaderEvent<Answer<V>>;

/// What the owner of the cache has to do.
pub type Action<V> = session::Action<Request<V>, News>;

/// What changed in the cache. The data and metadata of an added or changed znode are in
/// [`Cache::get`](super::Cache::get).
#[derive(Debug)]
pub enum News {
    /// A znode was read for the first time; without data, its name was.
    Added(ZnodePath),
    /// A znode was written since it was last read, or can be read again.
    Changed(ZnodePath),
    /// A znode is gone; its last metadata, if it was ever read.
    Removed(ZnodePath, Option<Stat>),
    /// The connection was lost: the cache may be out of date.
    Suspended,
    /// Everything was read since the latest connection and the latest refresh: the cache
    /// is up to date.
    Complete,
    /// The top does not exist. What was read before stays in the cache.
    Missing,
    /// The top can't be read and will be retried. If a limit is exceeded, or the scope is
    /// all or nothing, the cache has dropped everything below the top.
    Refused(Refusal),
    /// A znode can no longer be read; [`Cache::error`](super::Cache::error) has the
    /// reason. It keeps its last data and will be retried.
    Unreadable(ZnodePath),
    /// A znode is outside of the scope, or its name is not valid in a path.
    Ignored {
        /// Its parent.
        parent: ZnodePath,
        /// Its name.
        name: String,
    },
}

/// How much of a cache is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not connected: the cache may be out of date.
    Disconnected,
    /// Znodes are being listed and read.
    Loading,
    /// The top does not exist.
    Missing,
    /// The top can't be read, or a limit is exceeded.
    Refused,
    /// Everything was read.
    Complete,
}

/// Why the top can't be read.
#[derive(Debug, thiserror::Error, Clone)]
pub enum Refusal {
    /// ZooKeeper refused to return it.
    #[error(transparent)]
    Session(SessionError),
    /// There are more znodes than this.
    #[error("more than {0} znodes")]
    TooMany(usize),
    /// There are more bytes than this.
    #[error("more than {0} bytes")]
    TooLarge(usize),
}

impl Refusal {
    /// The same as an error about the top.
    pub(super) fn error(&self, top: &ZnodePath) -> SessionError {
        let too_many = |max, unit| SessionError::TooMany { path: top.clone(), max, unit };
        match self {
            Self::Session(error) => error.clone(),
            Self::TooMany(max) => too_many(*max, "znodes"),
            Self::TooLarge(max) => too_many(*max, "bytes"),
        }
    }
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}
