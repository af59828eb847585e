//! The bytes of all mirrors together.
//!
//! **Invariant.** `Debug` never prints the bytes: configuration contains secrets.

use crate::rollout::Versioned;
pub(crate) use farm_core::farm::rollout::Leaves;
use farm_core::farm::rollout::Version;
use std::fmt;
use std::sync::Arc;

/// The content of all mirrors at one time, in the order of the `--mirror` options. Cheap to
/// clone. Two are equal if their bytes are, whatever their versions.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    mirrored: Arc<[Mirrored]>,
    version: Version,
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.mirrored == other.mirrored
    }
}

impl Eq for Content {}

impl Versioned for Content {
    fn version(&self) -> Version {
        self.version
    }
}

/// The content of one mirror.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Mirrored {
    /// The znode has never existed since zkexec started; an existing file stays as it is.
    Absent,
    /// The bytes of the znode, possibly none.
    Bytes(Arc<[u8]>),
    /// The files of a subtree.
    Tree(Arc<Leaves>),
}

impl Content {
    /// Creates a content with one entry per mirror.
    #[must_use]
    pub(crate) fn of(mirrored: Vec<Mirrored>, version: Version) -> Self {
        Self { mirrored: mirrored.into(), version }
    }

    /// Stands for files that have not been compared with ZooKeeper, or for no files at all.
    pub(crate) fn unknown() -> Self {
        Self::of(Vec::new(), Version::of([]))
    }

    /// Whether it is not [`Content::unknown`].
    pub(crate) fn is_known(&self) -> bool {
        !self.mirrored.is_empty()
    }

    /// Whether the versions are equal as well.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self == other && self.version == other.version
    }

    /// One entry per mirror.
    #[must_use]
    pub(crate) fn mirrored(&self) -> &[Mirrored] {
        &self.mirrored
    }

    /// The positions of the mirrors that differ in `other`.
    pub(crate) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let pairs = self.mirrored.iter().zip(other.mirrored.iter()).enumerate();
        pairs.filter(|(_, (one, other))| one != other).map(|(position, _)| position)
    }
}

impl fmt::Debug for Mirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Tree(leaves) => write!(f, "Tree({} files)", leaves.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(mirrored: Vec<Mirrored>) -> Content {
        Content::of(mirrored, Version::of([]))
    }

    fn bytes(text: &str) -> Mirrored {
        Mirrored::Bytes(text.as_bytes().into())
    }

    #[test]
    fn contents_are_equal_by_their_bytes() {
        let one = content(vec![bytes("a"), bytes(""), Mirrored::Absent]);
        assert_eq!(one, content(vec![bytes("a"), bytes(""), Mirrored::Absent]));
        let other = content(vec![bytes("a"), Mirrored::Absent, bytes("c")]);
        assert_ne!(one, other);
        assert_eq!(one.differing(&other).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn no_bytes_are_printed() {
        let tree = Leaves::from([("password".to_owned(), b"hunter2".as_slice().into())]);
        let content = content(vec![bytes("hunter2"), Mirrored::Tree(tree.into())]);
        let printed = format!("{content:?}");
        assert!(printed.contains("Bytes(7)") && printed.contains("1 files"), "{printed}");
        assert!(!printed.contains("hunter2") && !printed.contains("104"), "{printed}");
    }
}
