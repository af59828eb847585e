//! The version of a content, which names it in every member and for every operator.
//!
//! **Invariant.** It depends on the sources and their bytes in ZooKeeper alone, not on the order
//! of the options, on local paths or on the host.

use ring::digest::{Context, SHA256};
use std::fmt;
use std::str::FromStr;

/// The hex digits of a version.
const DIGITS: usize = 12;

/// A version: the first 12 hex digits of a SHA-256.
///
/// The digest is over all items of the content, sorted by kind and path, each once. An item is its
/// kind and its path, each preceded by its length in bytes (64 bits, big-endian), and then a zero
/// byte if the znode does not exist, or else a one byte, the length of its bytes and the bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

/// One znode of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item<'a> {
    /// The part of the content that comes from it.
    pub kind: ItemKind,
    /// Its path.
    pub path: &'a str,
    /// Its bytes; `None` if it does not exist.
    pub bytes: Option<&'a [u8]>,
}

/// The part of a content that comes from a znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKind {
    /// A znode of a subtree.
    Leaf,
    /// A znode by itself.
    Znode,
}

impl ItemKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Leaf => "leaf",
            Self::Znode => "znode",
        }
    }
}

impl Version {
    /// The version of a content that consists of these items.
    #[must_use]
    pub fn of<'a>(items: impl IntoIterator<Item = Item<'a>>) -> Self {
        let mut items: Vec<Item<'_>> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        let mut digest = Context::new(&SHA256);
        let update = |digest: &mut Context, bytes: &[u8]| {
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        };
        for Item { kind, path, bytes } in items {
            update(&mut digest, kind.name().as_bytes());
            update(&mut digest, path.as_bytes());
            digest.update(&[u8::from(bytes.is_some())]);
            bytes.into_iter().for_each(|bytes| update(&mut digest, bytes));
        }
        let digest = digest.finish();
        let start = digest.as_ref().iter().take(DIGITS / 2);
        Self(start.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

/// Not 12 hex digits in lower case.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("a version is 12 hex digits")]
pub struct NoVersion;

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != DIGITS || !text.bytes().all(is_digit) {
            return Err(NoVersion);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NoVersion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn znode<'a>(path: &'a str, bytes: Option<&'a str>) -> Item<'a> {
        Item { kind: ItemKind::Znode, path, bytes: bytes.map(str::as_bytes) }
    }

    fn leaf<'a>(path: &'a str, bytes: &'a str) -> Item<'a> {
        Item { kind: ItemKind::Leaf, path, bytes: Some(bytes.as_bytes()) }
    }

    /// The digests were computed with sha256sum.
    #[test]
    fn it_is_the_start_of_the_digest_that_the_documentation_describes() {
        // printf '' | sha256sum
        assert_eq!(Version::of([]).to_string(), "e3b0c44298fc");
        // printf '\0\0\0\0\0\0\0\5znode\0\0\0\0\0\0\0\2/a\1\0\0\0\0\0\0\0\1x' | sha256sum
        assert_eq!(Version::of([znode("/a", Some("x"))]).to_string(), "0a42e273e3c7");
        // printf '\0\0\0\0\0\0\0\5znode\0\0\0\0\0\0\0\2/a\0' | sha256sum
        assert_eq!(Version::of([znode("/a", None)]).to_string(), "892f6f8c1263");
        // printf '\0\0\0\0\0\0\0\4leaf\0\0\0\0\0\0\0\4/t/x\1\0\0\0\0\0\0\0\0' | sha256sum
        assert_eq!(Version::of([leaf("/t/x", "")]).to_string(), "ece9ad1db7a1");
    }

    #[test]
    fn order_and_repetition_do_not_count_and_everything_else_does() {
        let one = Version::of([znode("/a", Some("x")), leaf("/t/b", "y")]);
        assert_eq!(one, Version::of([leaf("/t/b", "y"), znode("/a", Some("x"))]));
        assert_eq!(
            one,
            Version::of([leaf("/t/b", "y"), znode("/a", Some("x")), leaf("/t/b", "y")])
        );
        for other in [
            Version::of([znode("/a", Some("x"))]),
            Version::of([znode("/a", Some("x")), znode("/t/b", Some("y"))]),
            Version::of([znode("/a", Some("x")), leaf("/t/b", "")]),
            Version::of([znode("/a", Some("x")), leaf("/t/", "by")]),
            Version::of([znode("/a", None), leaf("/t/b", "y")]),
            Version::of([znode("/a", Some("")), leaf("/t/b", "y")]),
            Version::of([znode("/ax", Some("")), leaf("/t/b", "y")]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn only_its_own_text_is_read_back() {
        for text in ["000000000000", "0123456789ab", "ffffffffffff"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
        for text in ["", "0", "0123456789AB", "0123456789abc", "+123456789ab", "0123456789a ", "ü"]
        {
            text.parse::<Version>().unwrap_err();
        }
    }
}
