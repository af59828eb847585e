//! A znode, and how one is created and watched.

/// Whether a read leaves a one-shot watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Only read.
    No,
    /// Read, and post a hint at the next change.
    Yes,
}

/// How long a created znode lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// Until it is deleted.
    Persistent,
    /// Until the session that created it ends.
    Ephemeral,
}

/// The metadata of a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// The transaction that created it: its identity.
    pub czxid: i64,
    /// The transaction that last changed it.
    pub mzxid: i64,
    /// When it was created, in milliseconds since 1970.
    pub ctime_ms: i64,
    /// When it was last changed, in milliseconds since 1970.
    pub mtime_ms: i64,
    /// How often its data was set since it was created.
    pub version: i32,
    /// The session that owns it; 0 if it is persistent.
    pub ephemeral_owner: i64,
    /// How many bytes its data has.
    pub data_length: i32,
    /// How many children it has.
    pub num_children: i32,
}

/// A znode as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Znode<D = Vec<u8>> {
    /// Its data, possibly decoded.
    pub data: D,
    /// Its metadata.
    pub stat: Stat,
}
