//! Where a content comes from, and which version that is.

use super::layout::{Leaves, lay_out};
use super::version::{Item, ItemKind, Version};
use crate::model::Value;
use crate::session::cache::{Contents, Depth, Limits, Scope, snapshot};
use crate::session::{Client, SessionError, Watch, ZnodePath};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most znodes that a subtree may have.
pub const TREE_ZNODES_MAX: usize = 10_000;
/// The most bytes that they may hold together.
pub const TREE_BYTES_MAX: usize = 64 << 20;

/// A part of ZooKeeper that a content consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// One znode.
    Znode(ZnodePath),
    /// The znodes below this one.
    Tree(ZnodePath),
}

/// The content of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceBytes {
    /// The znode does not exist.
    Absent,
    /// The bytes of a znode.
    Bytes(Arc<[u8]>),
    /// The leaves of a subtree.
    Tree(Arc<Leaves>),
}

impl Source {
    /// The znode, or the top of the subtree.
    #[must_use]
    pub const fn path(&self) -> &ZnodePath {
        match self {
            Self::Znode(path) | Self::Tree(path) => path,
        }
    }

    /// Which znodes have to be read for it.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Znode(path) => Scope::new(path.clone(), Depth::ZNODE, Contents::All),
            // The leaves belong together, so a part of them is never shown.
            Self::Tree(path) => Scope::new(path.clone(), Depth::SUBTREE, Contents::Below)
                .within(Limits { znodes: TREE_ZNODES_MAX, bytes: TREE_BYTES_MAX })
                .all_or_nothing(),
        }
    }

    /// Reads it from a member's record.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let path = ZnodePath::parse(fields.get("path")?.as_str()?).ok()?;
        match fields.get("kind")?.as_str()? {
            "znode" => Some(Self::Znode(path)),
            "tree" => Some(Self::Tree(path)),
            _ => None,
        }
    }

    /// Its value in a member's record.
    pub(super) fn value(&self) -> Value {
        let (kind, path) = match self {
            Self::Znode(path) => ("znode", path),
            Self::Tree(path) => ("tree", path),
        };
        let fields = [("kind", kind), ("path", path.as_str())];
        Value::Object(
            fields.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect(),
        )
    }

    /// Reads its content from ZooKeeper.
    ///
    /// # Errors
    ///
    /// Those of the session, except [`SessionError::NoNode`].
    pub fn read(&self, client: &Client) -> Result<SourceBytes, SessionError> {
        match self {
            Self::Znode(path) => match client.get(path, Watch::No) {
                Ok(znode) => Ok(SourceBytes::Bytes(znode.data.into())),
                Err(SessionError::NoNode(_)) => Ok(SourceBytes::Absent),
                Err(error) => Err(error),
            },
            Self::Tree(path) => {
                let decode = |data: Vec<u8>| {
                    let bytes = data.len();
                    (Arc::<[u8]>::from(data), bytes)
                };
                let cache = match snapshot(client, self.scope(), decode) {
                    Ok(cache) => cache,
                    Err(SessionError::NoNode(_)) => return Ok(SourceBytes::Absent),
                    Err(error) => return Err(error),
                };
                let znodes = cache.below().filter_map(|(path, znode)| Some((path, &znode?.data)));
                let leaves = lay_out(path, &znodes.collect::<BTreeMap<_, _>>()).leaves;
                Ok(SourceBytes::Tree(Arc::new(leaves)))
            }
        }
    }
}

/// The version of a content of these sources.
#[must_use]
pub fn version_of<'a>(sources: impl IntoIterator<Item = (&'a Source, &'a SourceBytes)>) -> Version {
    let sources: Vec<_> = sources.into_iter().collect();
    let mut leaf_paths = Vec::new();
    for (source, bytes) in &sources {
        if let SourceBytes::Tree(leaves) = bytes {
            let top = source.path().as_str().trim_end_matches('/');
            leaf_paths.extend(leaves.keys().map(|below| format!("{top}/{below}")));
        }
    }
    let mut leaf_paths = leaf_paths.iter();
    let mut items = Vec::new();
    for (source, bytes) in sources {
        match bytes {
            // An absent subtree has no leaves, like an empty one.
            SourceBytes::Absent if matches!(source, Source::Tree(_)) => {}
            SourceBytes::Absent => {
                items.push(Item {
                    kind: ItemKind::Znode,
                    path: source.path().as_str(),
                    bytes: None,
                });
            }
            SourceBytes::Bytes(bytes) => items.push(Item {
                kind: ItemKind::Znode,
                path: source.path().as_str(),
                bytes: Some(bytes),
            }),
            SourceBytes::Tree(leaves) => {
                let paths = leaf_paths.by_ref();
                items.extend(leaves.values().zip(paths).map(|(bytes, path)| Item {
                    kind: ItemKind::Leaf,
                    path,
                    bytes: Some(bytes),
                }));
            }
        }
    }
    Version::of(items)
}
