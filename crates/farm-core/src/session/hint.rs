//! "Something changed, read again".

/// A change at a znode that somebody of this session watches. It carries no
/// data: who receives it reads again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Where.
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
    /// A child came or went.
    Children,
}
