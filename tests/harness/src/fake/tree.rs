//! The data tree: nodes, versions, zxids.
//!
//! **Invariant.** The tree changes only inside a transaction, wholly or not at all. Each
//! transaction takes one zxid, even if it fails.

use crate::wire::{Pack, Unpack, code};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A change that may trigger watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Created(String),
    Deleted(String),
    DataChanged(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl {
    perms: i32,
    scheme: String,
    id: String,
}

impl Acl {
    /// All permissions for everybody.
    fn open() -> Vec<Self> {
        vec![Self { perms: 31, scheme: "world".to_owned(), id: "anyone".to_owned() }]
    }

    pub(crate) fn unpack_list(unpack: &mut Unpack<'_>) -> Option<Vec<Self>> {
        let count = unpack.int()?.max(0);
        (0..count)
            .map(|_| {
                let perms = unpack.int()?;
                Some(Self { perms, scheme: unpack.string()?, id: unpack.string()? })
            })
            .collect()
    }

    pub(crate) fn pack_list(pack: Pack, list: &[Self]) -> Pack {
        let count = i32::try_from(list.len()).expect("a frame holds fewer");
        list.iter().fold(pack.int(count), |packed, acl| {
            packed.int(acl.perms).string(&acl.scheme).string(&acl.id)
        })
    }
}

impl fmt::Display for Acl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.scheme, self.id, self.perms)
    }
}

/// Whether a new node is sequential, and its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) is_sequential: bool,
    /// The session that owns an ephemeral node; 0 for a persistent node.
    pub(crate) owner: i64,
}

impl Kind {
    pub(crate) const PERSISTENT: Self = Self { is_sequential: false, owner: 0 };
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) data: Vec<u8>,
    pub(crate) acl: Vec<Acl>,
    pub(crate) children: BTreeSet<String>,
    /// More names for lists of the children, and how many.
    invented: (usize, Arc<[u8]>),
    pub(crate) owner: i64,
    pub(crate) version: i32,
    acl_version: i32,
    children_created: i32,
    created_zxid: i64,
    pub(crate) modified_zxid: i64,
    pub(crate) children_zxid: i64,
    created_ms: i64,
    modified_ms: i64,
}

impl Node {
    fn new(data: &[u8], acl: Vec<Acl>, owner: i64, zxid: i64) -> Self {
        let now_ms = now_ms();
        Self {
            data: data.to_vec(),
            acl,
            children: BTreeSet::new(),
            invented: (0, Arc::default()),
            owner,
            version: 0,
            acl_version: 0,
            children_created: 0,
            created_zxid: zxid,
            modified_zxid: zxid,
            children_zxid: zxid,
            created_ms: now_ms,
            modified_ms: now_ms,
        }
    }

    fn children_count(&self) -> i32 {
        i32::try_from(self.children.len()).expect("a test's tree is small")
    }

    pub(crate) fn pack_children(&self) -> Pack {
        let (count, names) = &self.invented;
        let count = i32::try_from(self.children.len() + count).expect("a frame holds fewer");
        let packed = Pack::new().int(count);
        self.children.iter().fold(packed, |packed, name| packed.string(name)).bytes(names)
    }

    pub(crate) fn pack_stat(&self, pack: Pack) -> Pack {
        pack.long(self.created_zxid)
            .long(self.modified_zxid)
            .long(self.created_ms)
            .long(self.modified_ms)
            .int(self.version)
            // The protocol counts creations and deletions of children, the node counts creations.
            .int(self.children_created * 2 - self.children_count())
            .int(self.acl_version)
            .long(self.owner)
            .int(i32::try_from(self.data.len()).expect("a frame holds less"))
            .int(self.children_count())
            .long(self.children_zxid)
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[derive(Debug)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
    zxid: i64,
    changes: Vec<Change>,
    /// The former nodes of a transaction of several steps.
    undo: Option<Vec<(String, Option<Node>)>>,
}

impl Tree {
    /// A tree with the nodes that every server has: the root and `/zookeeper`.
    pub(crate) fn new() -> Self {
        let root = Node::new(&[], Acl::open(), 0, 0);
        let mut tree = Self {
            nodes: BTreeMap::from([("/".to_owned(), root)]),
            zxid: 0,
            changes: Vec::new(),
            undo: None,
        };
        let created =
            tree.transact(|tree| tree.create("/zookeeper", &[], Acl::open(), Kind::PERSISTENT));
        created.expect("an empty tree takes it");
        tree.changes.clear();
        tree
    }

    pub(crate) const fn zxid(&self) -> i64 {
        self.zxid
    }

    pub(crate) fn node(&self, path: &str) -> Result<&Node, i32> {
        self.nodes.get(path).ok_or(code::NO_NODE)
    }

    pub(crate) fn invent_children(
        &mut self,
        path: &str,
        count: usize,
        packed: &Arc<[u8]>,
    ) -> Result<(), i32> {
        let node = self.nodes.get_mut(path).ok_or(code::NO_NODE)?;
        node.invented = (count, Arc::clone(packed));
        Ok(())
    }

    /// Takes the changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Runs one step as a transaction. Each step checks everything before it changes anything,
    /// so a failed step needs no undo.
    pub(crate) fn transact<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, i32>,
    ) -> Result<T, i32> {
        self.zxid += 1;
        step(self)
    }

    /// Runs several steps as one transaction; if one fails, the ones before it are undone.
    pub(crate) fn transact_all<T>(
        &mut self,
        steps: impl FnOnce(&mut Self) -> Result<T, i32>,
    ) -> Result<T, i32> {
        self.undo = Some(Vec::new());
        let changes_before = self.changes.len();
        let outcome = self.transact(steps);
        let undo = self.undo.take().unwrap_or_default();
        if outcome.is_err() {
            self.changes.truncate(changes_before);
            for (path, before) in undo.into_iter().rev() {
                match before {
                    Some(node) => drop(self.nodes.insert(path, node)),
                    None => drop(self.nodes.remove(&path)),
                }
            }
        }
        outcome
    }

    fn save_undo(&mut self, path: &str) {
        if let Some(undo) = &mut self.undo {
            undo.push((path.to_owned(), self.nodes.get(path).cloned()));
        }
    }

    fn node_mut(&mut self, path: &str) -> Result<&mut Node, i32> {
        self.save_undo(path);
        self.nodes.get_mut(path).ok_or(code::NO_NODE)
    }

    /// Creates a node and returns its path.
    pub(crate) fn create(
        &mut self,
        path: &str,
        data: &[u8],
        acl: Vec<Acl>,
        kind: Kind,
    ) -> Result<String, i32> {
        if acl.is_empty() {
            return Err(code::INVALID_ACL);
        }
        let zxid = self.zxid;
        let (parent, _) = split(path).ok_or(code::BAD_ARGUMENTS)?;
        let parent = parent.to_owned();
        let above = self.node(&parent)?;
        let path = if kind.is_sequential {
            format!("{path}{:010}", above.children_created)
        } else {
            path.to_owned()
        };
        if !is_valid(&path) {
            return Err(code::BAD_ARGUMENTS);
        }
        if self.nodes.contains_key(&path) {
            return Err(code::NODE_EXISTS);
        }
        if above.owner != 0 {
            return Err(code::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let (_, name) = split(&path).ok_or(code::BAD_ARGUMENTS)?;
        let above = self.node_mut(&parent)?;
        above.children.insert(name.to_owned());
        above.children_created += 1;
        above.children_zxid = zxid;
        self.save_undo(&path);
        self.nodes.insert(path.clone(), Node::new(data, acl, kind.owner, zxid));
        self.changes.push(Change::Created(path.clone()));
        Ok(path)
    }

    pub(crate) fn delete(&mut self, path: &str, version: i32) -> Result<(), i32> {
        let (parent, name) = split(path).ok_or(code::BAD_ARGUMENTS)?;
        self.check(path, version)?;
        if !self.node(path)?.children.is_empty() {
            return Err(code::NOT_EMPTY);
        }
        let zxid = self.zxid;
        self.save_undo(path);
        self.nodes.remove(path);
        let above = self.node_mut(parent)?;
        above.children.remove(name);
        above.children_zxid = zxid;
        self.changes.push(Change::Deleted(path.to_owned()));
        Ok(())
    }

    pub(crate) fn set(&mut self, path: &str, data: &[u8], version: i32) -> Result<&Node, i32> {
        self.check(path, version)?;
        let zxid = self.zxid;
        self.changes.push(Change::DataChanged(path.to_owned()));
        let node = self.node_mut(path)?;
        node.data = data.to_vec();
        node.version += 1;
        node.modified_zxid = zxid;
        node.modified_ms = now_ms();
        Ok(node)
    }

    pub(crate) fn set_acl(
        &mut self,
        path: &str,
        acl: Vec<Acl>,
        version: i32,
    ) -> Result<&Node, i32> {
        if acl.is_empty() {
            return Err(code::INVALID_ACL);
        }
        let node = self.node_mut(path)?;
        if version != -1 && version != node.acl_version {
            return Err(code::BAD_VERSION);
        }
        node.acl = acl;
        node.acl_version += 1;
        Ok(node)
    }

    pub(crate) fn check(&self, path: &str, version: i32) -> Result<(), i32> {
        let node = self.node(path)?;
        if version == -1 || version == node.version { Ok(()) } else { Err(code::BAD_VERSION) }
    }

    /// Creates or writes a node as another client would, and creates missing parents.
    pub(crate) fn put(&mut self, path: &str, data: &[u8], owner: i64) -> Result<(), i32> {
        for (index, _) in path.match_indices('/').skip(1) {
            if self.node(&path[..index]).is_err() {
                self.transact(|tree| {
                    tree.create(&path[..index], &[], Acl::open(), Kind::PERSISTENT)
                })?;
            }
        }
        self.transact(|tree| {
            if tree.node(path).is_ok() {
                return tree.set(path, data, -1).map(drop);
            }
            tree.create(path, data, Acl::open(), Kind { is_sequential: false, owner }).map(drop)
        })
    }

    /// The paths of all nodes below a node, sorted.
    pub(crate) fn below(&self, path: &str) -> Vec<String> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let is_below = |key: &&String| key.len() > prefix.len() && key.starts_with(&prefix);
        self.nodes.keys().filter(is_below).cloned().collect()
    }

    /// Deletes a node and everything below it; returns whether it existed.
    pub(crate) fn delete_all(&mut self, path: &str) -> bool {
        let below = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let mut doomed: Vec<String> = self
            .nodes
            .keys()
            .filter(|key| *key == path || key.starts_with(&below))
            .cloned()
            .collect();
        // Children before their parents: a longer path is never a parent.
        doomed.sort_by_key(|key| std::cmp::Reverse(key.len()));
        let was_there = !doomed.is_empty();
        for key in doomed.iter().filter(|key| *key != "/") {
            let gone = self.transact(|tree| tree.delete(key, -1));
            gone.expect("nothing is below it any more");
        }
        was_there
    }

    /// Deletes the ephemeral nodes of a session in one transaction.
    pub(crate) fn end_session(&mut self, session: i64) {
        let owned: Vec<String> = self.owned_by(session);
        let gone = self.transact(|tree| owned.iter().try_for_each(|path| tree.delete(path, -1)));
        gone.expect("ephemeral nodes have no children");
    }

    fn owned_by(&self, session: i64) -> Vec<String> {
        let owned = self.nodes.iter().filter(|(_, node)| node.owner == session);
        owned.map(|(path, _)| path.clone()).collect()
    }
}

/// Splits a path into the parent and the name; `None` for the root.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    if !path.starts_with('/') || path == "/" {
        return None;
    }
    let (parent, name) = path.rsplit_once('/')?;
    Some((if parent.is_empty() { "/" } else { parent }, name))
}

fn is_valid(path: &str) -> bool {
    path.starts_with('/')
        && path[1..].split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.chars().any(|c| c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(tree: &mut Tree, path: &str, kind: Kind) -> Result<String, i32> {
        tree.transact(|tree| tree.create(path, b"x", Acl::open(), kind))
    }

    #[test]
    fn refused_changes_leave_the_tree_alone() {
        let mut tree = Tree::new();
        let ephemeral = Kind { is_sequential: false, owner: 7 };
        create(&mut tree, "/a", Kind::PERSISTENT).unwrap();
        create(&mut tree, "/a/e", ephemeral).unwrap();
        drop(tree.take_changes());
        for (path, error) in [
            ("/a", code::NODE_EXISTS),
            ("/b/c", code::NO_NODE),
            ("/a/e/c", code::NO_CHILDREN_FOR_EPHEMERALS),
            ("/", code::BAD_ARGUMENTS),
            ("a", code::BAD_ARGUMENTS),
            ("/a/", code::BAD_ARGUMENTS),
            ("/a/..", code::BAD_ARGUMENTS),
            ("/a/\0", code::BAD_ARGUMENTS),
        ] {
            assert_eq!(create(&mut tree, path, Kind::PERSISTENT), Err(error), "{path:?}");
        }
        let outcomes = [
            (tree.transact(|tree| tree.delete("/a", -1)), code::NOT_EMPTY),
            (tree.transact(|tree| tree.delete("/a/e", 3)), code::BAD_VERSION),
            (tree.transact(|tree| tree.delete("/c", -1)), code::NO_NODE),
            (tree.transact(|tree| tree.set("/a", b"", 1).map(drop)), code::BAD_VERSION),
            (tree.transact(|tree| tree.set_acl("/a", Vec::new(), -1).map(drop)), code::INVALID_ACL),
        ];
        for (outcome, error) in outcomes {
            assert_eq!(outcome, Err(error));
        }
        assert_eq!(tree.take_changes(), []);
        assert_eq!(tree.node("/a").unwrap().data, b"x");
    }

    #[test]
    fn failed_transaction_takes_back_what_it_did() {
        let mut tree = Tree::new();
        create(&mut tree, "/a", Kind::PERSISTENT).unwrap();
        create(&mut tree, "/a/b", Kind::PERSISTENT).unwrap();
        drop(tree.take_changes());
        let before = format!("{:?}", tree.nodes);
        let outcome = tree.transact_all(|tree| {
            tree.delete("/a/b", -1)?;
            tree.create("/a/b", b"new", Acl::open(), Kind { is_sequential: false, owner: 9 })?;
            tree.set("/a", b"other", -1)?;
            tree.delete("/none", -1)
        });
        assert_eq!(outcome, Err(code::NO_NODE));
        assert_eq!(format!("{:?}", tree.nodes), before);
        assert_eq!(tree.take_changes(), []);
    }

    #[test]
    fn sequential_names_never_come_twice() {
        let mut tree = Tree::new();
        let kind = Kind { is_sequential: true, owner: 7 };
        create(&mut tree, "/q", Kind::PERSISTENT).unwrap();
        assert_eq!(create(&mut tree, "/q/n-", kind).unwrap(), "/q/n-0000000000");
        assert_eq!(create(&mut tree, "/q/n-", kind).unwrap(), "/q/n-0000000001");
        tree.end_session(7);
        assert!(tree.node("/q").unwrap().children.is_empty());
        assert_eq!(create(&mut tree, "/q/", kind).unwrap(), "/q/0000000002");
    }

    #[test]
    fn put_and_delete_all_bring_and_take_whole_branches() {
        let mut tree = Tree::new();
        tree.put("/a/b/c", b"1", 0).unwrap();
        tree.put("/a/b/c", b"2", 0).unwrap();
        assert_eq!(tree.node("/a/b/c").unwrap().version, 1);
        tree.put("/ab", b"", 0).unwrap();
        assert!(tree.delete_all("/a"));
        assert!(!tree.delete_all("/a"));
        assert!(tree.node("/a/b/c").is_err() && tree.node("/ab").is_ok());
    }
}
