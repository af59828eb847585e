//! "Something changed, read again".

/// A change at a watched znode. It carries no data: the receiver reads again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The znode.
    pub path: super::ZnodePath,
    /// What happened there.
    pub change: Change,
}

/// What happened at a watched znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was created.
    Created,
    /// It was deleted.
    Deleted,
    /// Its data was set.
    Data,
    /// A child was created or deleted.
    Children,
}
