//! What goes into a cache and what comes out of it.

use super::request::{Answer, Request};
use crate::session::{self, ReaderEvent, SessionError, Stat, ZnodePath};

/// What happened.
pub type Event<V> = ReaderEvent<Answer<V>>;

/// What has to be done.
pub type Action<V> = session::Action<Request<V>, News>;

/// What is known now. The data and stat of a znode that came or changed are in
/// [`Cache::get`](super::Cache::get).
#[derive(Debug)]
pub enum News {
    /// A znode that was read for the first time.
    Added(ZnodePath),
    /// A znode that was written since it was last read, or can be read again.
    Changed(ZnodePath),
    /// A znode that is gone, with its last stat; without one if it was never read.
    Removed(ZnodePath, Option<Stat>),
    /// Contact was lost: the cache may be out of date.
    Suspended,
    /// Everything was read since the latest contact, or since it was wanted again:
    /// the cache is in step with the server (after an interruption: again).
    Complete,
    /// The top is not there. What was read of it before stays in the cache.
    Missing,
    /// The top can't be read; it is tried again. Beyond a bound, and if it is all or
    /// nothing, the cache has forgotten what is below the top.
    Refused(Refusal),
    /// From now on this znode can't be read; [`Cache::trouble`](super::Cache::trouble)
    /// has the reason. It keeps its last data, and is tried again.
    Unreadable(ZnodePath),
    /// A znode that does not belong to the scope, or has a name that makes no path.
    Ignored {
        /// The znode above it.
        parent: ZnodePath,
        /// Its name.
        name: String,
    },
}

/// How much is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No contact: what was read may be out of date.
    Away,
    /// Listing and reading.
    Loading,
    /// The top is not there.
    Missing,
    /// The top can't be read, or a bound is exceeded.
    Refused,
    /// All there is was read.
    Complete,
}

/// Why the top can't be read.
#[derive(Debug, thiserror::Error, Clone)]
pub enum Refusal {
    /// ZooKeeper does not hand it out.
    #[error(transparent)]
    Session(SessionError),
    /// There are more znodes than this.
    #[error("more than {0} znodes")]
    TooMany(usize),
    /// There are more bytes than this.
    #[error("more than {0} bytes")]
    TooLarge(usize),
}

impl From<SessionError> for Refusal {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}
