//! The watches of all connections.
//!
//! **Invariant.** A watch belongs to a connection, not to a session: a session that is resumed
//! on another connection has none.

use super::tree::Change;
use std::collections::{BTreeMap, BTreeSet};

/// A connection's id, unique within its ensemble.
pub(crate) type ConnectionId = u64;

/// The type of an event, with the protocol's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventType {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

/// An event for one connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) to: ConnectionId,
    pub(crate) is: EventType,
    pub(crate) path: String,
}

type Waiting = BTreeMap<String, BTreeSet<ConnectionId>>;

#[derive(Debug, Default)]
pub(crate) struct Watches {
    data: Waiting,
    children: Waiting,
    persistent: Waiting,
    recursive: Waiting,
}

impl Watches {
    /// Adds a data watch. It replaces a recursive watch on the same znode, as on servers from 3.6
    /// to 3.8.
    pub(crate) fn add_data(&mut self, path: &str, connection: ConnectionId) {
        if let Some(connections) = self.recursive.get_mut(path) {
            connections.remove(&connection);
        }
        self.data.entry(path.to_owned()).or_default().insert(connection);
    }

    pub(crate) fn add_children(&mut self, path: &str, connection: ConnectionId) {
        self.children.entry(path.to_owned()).or_default().insert(connection);
    }

    pub(crate) fn add_persistent(&mut self, path: &str, connection: ConnectionId) {
        self.persistent.entry(path.to_owned()).or_default().insert(connection);
    }

    pub(crate) fn add_recursive(&mut self, path: &str, connection: ConnectionId) {
        self.recursive.entry(path.to_owned()).or_default().insert(connection);
    }

    /// Removes all watches of a connection.
    pub(crate) fn forget(&mut self, connection: ConnectionId) {
        for waiting in
            [&mut self.data, &mut self.children, &mut self.persistent, &mut self.recursive]
        {
            waiting.retain(|_, connections| {
                connections.remove(&connection);
                !connections.is_empty()
            });
        }
    }

    /// Returns the events that a change triggers, and removes the one-shot watches among them.
    pub(crate) fn fire(&mut self, change: &Change) -> Vec<Event> {
        let (path, is) = match change {
            Change::Created(path) => (path, EventType::Created),
            Change::Deleted(path) => (path, EventType::Deleted),
            Change::DataChanged(path) => (path, EventType::DataChanged),
        };
        let mut waiting = self.data.remove(path).unwrap_or_default();
        if is == EventType::Deleted {
            waiting.extend(self.children.remove(path).unwrap_or_default());
        }
        waiting.extend(self.persistent.get(path).into_iter().flatten());
        for above in std::iter::successors(Some(path.as_str()), |path| parent(path)) {
            waiting.extend(self.recursive.get(above).into_iter().flatten());
        }
        let to_each = |waiting: BTreeSet<ConnectionId>, is, path: &str| {
            waiting.into_iter().map(move |to| Event { to, is, path: path.to_owned() }).collect()
        };
        let mut events: Vec<Event> = to_each(waiting, is, path);
        if let Some(parent) = parent(path).filter(|_| is != EventType::DataChanged) {
            let mut waiting = self.children.remove(parent).unwrap_or_default();
            waiting.extend(self.persistent.get(parent).into_iter().flatten());
            let more: Vec<Event> = to_each(waiting, EventType::ChildrenChanged, parent);
            events.extend(more);
        }
        events
    }
}

fn parent(path: &str) -> Option<&str> {
    super::tree::split(path).map(|(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(watches: &mut Watches, change: &Change) -> Vec<(ConnectionId, EventType, String)> {
        watches.fire(change).into_iter().map(|event| (event.to, event.is, event.path)).collect()
    }

    #[test]
    fn one_shot_watches_fire_once_and_persistent_ones_stay() {
        let mut watches = Watches::default();
        watches.add_data("/a/b", 1);
        watches.add_children("/a", 2);
        watches.add_persistent("/a", 3);
        watches.add_recursive("/", 4);
        let created = Change::Created("/a/b".to_owned());
        let lasting = [
            (4, EventType::Created, "/a/b".to_owned()),
            (3, EventType::ChildrenChanged, "/a".to_owned()),
        ];
        let mut first = fired(&mut watches, &created);
        first.retain(|event| !lasting.contains(event));
        let spent = [
            (1, EventType::Created, "/a/b".to_owned()),
            (2, EventType::ChildrenChanged, "/a".to_owned()),
        ];
        assert_eq!(first, spent);
        assert_eq!(fired(&mut watches, &created), lasting);
        watches.forget(3);
        watches.forget(4);
        assert_eq!(fired(&mut watches, &created), []);
    }

    #[test]
    fn deleted_node_is_told_once_to_each_connection() {
        let mut watches = Watches::default();
        watches.add_data("/a", 1);
        watches.add_children("/a", 1);
        watches.add_persistent("/a", 1);
        watches.add_recursive("/a", 1);
        let events = fired(&mut watches, &Change::Deleted("/a".to_owned()));
        assert_eq!(events, [(1, EventType::Deleted, "/a".to_owned())]);
    }

    #[test]
    fn changed_data_says_nothing_about_the_parent() {
        let mut watches = Watches::default();
        watches.add_children("/", 1);
        watches.add_persistent("/", 2);
        assert_eq!(fired(&mut watches, &Change::DataChanged("/a".to_owned())), []);
    }
}
