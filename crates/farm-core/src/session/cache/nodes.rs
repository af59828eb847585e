//! The znodes of a cache, and which parts of them are read.
//!
//! **Invariant.** `unread` is the number of parts that were not read since they were
//! last [outdated](Nodes::outdate), and `bytes` is the length of all data.

use super::{Found, News};
use crate::session::{SessionError, Stat, Znode, ZnodePath};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};

/// The parts of a znode, which are read by separate requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Data,
    Children,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Idle,
    Queued,
    /// It is being read; if `is_stale`, it has changed since and will be read again.
    UnderWay {
        ticket: u64,
        is_stale: bool,
    },
}

/// The state of one part of a znode.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) phase: Phase,
    /// It was read since it was last outdated, or can't be read.
    pub(super) is_fresh: bool,
    /// Why it can't be read. In a box: there are two for each znode, and hardly any has an error.
    error: Option<Box<SessionError>>,
}

impl Reading {
    /// Requires another read; tells whether the caller has to queue it.
    pub(super) const fn schedule(&mut self) -> bool {
        match &mut self.phase {
            Phase::Idle => {
                self.phase = Phase::Queued;
                true
            }
            Phase::Queued => false,
            Phase::UnderWay { is_stale, .. } => {
                *is_stale = true;
                false
            }
        }
    }

    /// Tells whether it is fresh and no read is pending.
    pub(super) fn is_settled(&self) -> bool {
        self.is_fresh && self.phase == Phase::Idle
    }

    /// The request with this ticket was answered; tells whether the part has changed
    /// since. `None` if it is not the expected request.
    fn answered(&mut self, ticket: u64) -> Option<bool> {
        match self.phase {
            Phase::UnderWay { ticket: expected, is_stale } if expected == ticket => {
                self.phase = Phase::Idle;
                Some(is_stale)
            }
            Phase::Idle | Phase::Queued | Phase::UnderWay { .. } => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Node<V> {
    /// The znode as it was last read.
    pub(super) znode: Option<Znode<V>>,
    bytes: usize,
    data: Option<Reading>,
    children: Option<Reading>,
    /// Children with a hint while the list was being read: the list may be older than the
    /// hint.
    hinted: BTreeSet<ZnodePath>,
}

impl<V> Node<V> {
    fn new(has_data: bool, has_children: bool) -> Self {
        Self {
            znode: None,
            bytes: 0,
            data: has_data.then(Reading::default),
            children: has_children.then(Reading::default),
            hinted: BTreeSet::new(),
        }
    }

    pub(super) const fn reading(&self, part: Part) -> Option<&Reading> {
        match part {
            Part::Data => self.data.as_ref(),
            Part::Children => self.children.as_ref(),
        }
    }

    const fn reading_mut(&mut self, part: Part) -> Option<&mut Reading> {
        match part {
            Part::Data => self.data.as_mut(),
            Part::Children => self.children.as_mut(),
        }
    }

    pub(super) fn error(&self, part: Part) -> Option<&SessionError> {
        self.reading(part)?.error.as_deref()
    }

    fn readings(&mut self) -> impl Iterator<Item = &mut Reading> {
        self.data.iter_mut().chain(&mut self.children)
    }

    fn unread(&self) -> usize {
        [&self.data, &self.children].into_iter().flatten().filter(|part| !part.is_fresh).count()
    }
}

#[derive(Debug)]
pub(super) struct Nodes<V> {
    top: ZnodePath,
    nodes: BTreeMap<ZnodePath, Node<V>>,
    unread: usize,
    bytes: usize,
}

impl<V> Nodes<V> {
    /// Only the top, with these parts.
    pub(super) fn new(top: ZnodePath, has_data: bool, has_children: bool) -> Self {
        let mut nodes = Self { top, nodes: BTreeMap::new(), unread: 0, bytes: 0 };
        nodes.add(&nodes.top.clone(), has_data, has_children);
        nodes
    }

    pub(super) const fn unread(&self) -> usize {
        self.unread
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, path: &ZnodePath) -> Option<&Node<V>> {
        self.nodes.get(path)
    }

    pub(super) fn reading(&self, path: &ZnodePath, part: Part) -> Option<&Reading> {
        self.nodes.get(path)?.reading(part)
    }

    pub(super) fn reading_mut(&mut self, path: &ZnodePath, part: Part) -> Option<&mut Reading> {
        self.nodes.get_mut(path)?.reading_mut(part)
    }

    /// All but the top, sorted by path.
    pub(super) fn below(&self) -> impl Iterator<Item = (&ZnodePath, &Node<V>)> {
        self.nodes.iter().filter(|(path, _)| **path != self.top)
    }

    /// How many there are below the top.
    pub(super) fn count(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Adds a znode if it is missing; returns the part that is read first.
    pub(super) fn add(
        &mut self,
        path: &ZnodePath,
        has_data: bool,
        has_children: bool,
    ) -> Option<(Part, &mut Reading)> {
        let unread = &mut self.unread;
        let node = self.nodes.entry(path.clone()).or_insert_with(|| {
            let node = Node::new(has_data, has_children);
            *unread += node.unread();
            node
        });
        let part = if node.data.is_some() { Part::Data } else { Part::Children };
        Some((part, node.reading_mut(part)?))
    }

    /// Adds the part `Children` to a znode.
    pub(super) fn add_children(&mut self, path: &ZnodePath) {
        if let Some(node) = self.nodes.get_mut(path)
            && node.children.is_none()
        {
            node.children = Some(Reading::default());
            self.unread += 1;
        }
    }

    /// Removes the part `Children` until the znode itself has been read again.
    pub(super) fn drop_children(&mut self, path: &ZnodePath) {
        if let Some(children) = self.nodes.get_mut(path).and_then(|node| node.children.take()) {
            self.unread -= usize::from(!children.is_fresh);
        }
    }

    /// Removes a znode below the top and everything below it; returns the deepest first.
    pub(super) fn remove(&mut self, path: &ZnodePath) -> Vec<(ZnodePath, Option<Stat>)> {
        let mut paths: Vec<ZnodePath> =
            self.descendants(path).map(|(path, _)| path.clone()).collect();
        paths.reverse();
        paths.push(path.clone());
        let mut removed = Vec::with_capacity(paths.len());
        for path in paths {
            if let Some(node) = self.nodes.remove(&path) {
                self.unread -= node.unread();
                self.bytes -= node.bytes;
                removed.push((path, node.znode.map(|znode| znode.stat)));
            }
        }
        removed
    }

    /// Removes all znodes below the top.
    pub(super) fn clear(&mut self) {
        self.nodes.retain(|path, _| *path == self.top);
        self.unread = self.nodes.values().map(Node::unread).sum();
        self.bytes = self.nodes.values().map(|node| node.bytes).sum();
    }

    fn descendants(&self, path: &ZnodePath) -> impl Iterator<Item = (&ZnodePath, &Node<V>)> {
        // `/a-b` sorts between `/a` and `/a/b`.
        let prefix = if path.is_root() { "/".to_owned() } else { format!("{path}/") };
        let all = self.nodes.range::<str, _>((Included(&*prefix), Unbounded));
        let below = move |(path, _): &(&ZnodePath, &Node<V>)| {
            path.as_str().len() > prefix.len() && path.as_str().starts_with(&prefix)
        };
        all.skip(usize::from(path.is_root())).take_while(below)
    }

    /// Tells whether a child of the znode is known.
    pub(super) fn has_children(&self, path: &ZnodePath) -> bool {
        self.descendants(path).next().is_some()
    }

    /// The children of a znode that are known.
    pub(super) fn children(&self, path: &ZnodePath) -> Vec<ZnodePath> {
        let start = if path.is_root() { 1 } else { path.as_str().len() + 1 };
        let is_child = |below: &&ZnodePath| !below.as_str()[start..].contains('/');
        self.descendants(path).map(|(path, _)| path).filter(is_child).cloned().collect()
    }

    /// Remembers a hint about a child if a read of the list of children is pending, which
    /// will tell whether the child exists.
    pub(super) fn note_hint(&mut self, parent: &ZnodePath, child: &ZnodePath) -> bool {
        let Some(node) = self.nodes.get_mut(parent) else { return false };
        let is_listing = node.children.as_ref().is_some_and(|list| list.phase != Phase::Idle);
        if is_listing {
            node.hinted.insert(child.clone());
        }
        is_listing
    }

    pub(super) fn take_hinted(&mut self, parent: &ZnodePath) -> BTreeSet<ZnodePath> {
        self.nodes.get_mut(parent).map(|node| std::mem::take(&mut node.hinted)).unwrap_or_default()
    }

    /// Marks everything as unread.
    pub(super) fn outdate(&mut self) {
        self.nodes.values_mut().flat_map(Node::readings).for_each(|part| part.is_fresh = false);
        self.unread = self.nodes.values().map(Node::unread).sum();
    }

    /// Forgets pending reads: their requests were dropped.
    pub(super) fn make_idle(&mut self) {
        for node in self.nodes.values_mut() {
            node.hinted.clear();
            node.readings().for_each(|reading| reading.phase = Phase::Idle);
        }
    }

    /// As [`Reading::answered`].
    pub(super) fn answered(&mut self, path: &ZnodePath, part: Part, ticket: u64) -> Option<bool> {
        self.reading_mut(path, part)?.answered(ticket)
    }

    /// The part was read, or can't be read.
    pub(super) fn mark_fresh(&mut self, path: &ZnodePath, part: Part) {
        if let Some(reading) = self.reading_mut(path, part)
            && !std::mem::replace(&mut reading.is_fresh, true)
        {
            self.unread -= 1;
        }
    }

    /// The part can't be read; tells whether this is the first error in a row.
    pub(super) fn set_error(&mut self, path: &ZnodePath, part: Part, error: SessionError) -> bool {
        let reading = self.reading_mut(path, part);
        reading.is_some_and(|reading| reading.error.replace(Box::new(error)).is_none())
    }

    pub(super) fn clear_error(&mut self, path: &ZnodePath, part: Part) {
        if let Some(reading) = self.reading_mut(path, part) {
            reading.error = None;
        }
    }

    /// Stores a znode that was read; returns what changed.
    pub(super) fn store(
        &mut self,
        path: &ZnodePath,
        found: Found<V>,
        is_current: bool,
    ) -> Option<News> {
        let node = self.nodes.get_mut(path)?;
        let mzxid = found.znode.stat.mzxid;
        self.bytes = self.bytes - node.bytes + found.bytes;
        node.bytes = found.bytes;
        let old = node.znode.replace(found.znode);
        let data = node.data.as_mut()?;
        let was_unreadable = data.error.take().is_some();
        self.unread -= usize::from(is_current && !data.is_fresh);
        data.is_fresh |= is_current;
        match old {
            None => Some(News::Added(path.clone())),
            // Every write has a new transaction id.
            Some(old) if was_unreadable || old.stat.mzxid != mzxid => {
                Some(News::Changed(path.clone()))
            }
            Some(_) => None,
        }
    }
}
