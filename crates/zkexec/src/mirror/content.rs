//! The bytes of all mirrors together.
//!
//! **Invariant.** `Debug` never prints the bytes: configuration contains secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The files of a mirrored subtree, by their paths below its directory.
pub(crate) type Leaves = BTreeMap<String, Arc<[u8]>>;

/// The content of all mirrors at one time, in the order of the `--mirror` options. Cheap to
/// clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content(Arc<[Mirrored]>);

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
    pub(crate) fn of(mirrored: Vec<Mirrored>) -> Self {
        Self(mirrored.into())
    }

    /// One entry per mirror.
    #[must_use]
    pub(crate) fn mirrored(&self) -> &[Mirrored] {
        &self.0
    }

    /// The positions of the mirrors that differ in `other`.
    pub(crate) fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let pairs = self.0.iter().zip(other.0.iter()).enumerate();
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

    fn bytes(text: &str) -> Mirrored {
        Mirrored::Bytes(text.as_bytes().into())
    }

    #[test]
    fn contents_are_equal_by_their_bytes() {
        let one = Content::of(vec![bytes("a"), bytes(""), Mirrored::Absent]);
        assert_eq!(one, Content::of(vec![bytes("a"), bytes(""), Mirrored::Absent]));
        let other = Content::of(vec![bytes("a"), Mirrored::Absent, bytes("c")]);
        assert_ne!(one, other);
        assert_eq!(one.differing(&other).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn no_bytes_are_printed() {
        let tree = Leaves::from([("password".to_owned(), b"hunter2".as_slice().into())]);
        let content = Content::of(vec![bytes("hunter2"), Mirrored::Tree(tree.into())]);
        let printed = format!("{content:?}");
        assert!(printed.contains("Bytes(7)") && printed.contains("1 files"), "{printed}");
        assert!(!printed.contains("hunter2") && !printed.contains("104"), "{printed}");
    }
}
