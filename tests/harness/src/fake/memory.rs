//! An in-memory server for tests of state machines, without sockets, threads or a clock.
//!
//! Like a real server, it sends a watch event before any answer that it computes after the
//! change.

use super::tree::Tree;
use super::watches::{EventType, Watches};
use crate::wire::code;
use std::collections::{BTreeSet, VecDeque};

/// The only connection.
const CLIENT: u64 = 0;

/// The type of a watch event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEvent {
    /// The znode was created.
    Created,
    /// The znode was deleted.
    Deleted,
    /// Its data was set.
    Data,
    /// A child was created or deleted.
    Children,
}

/// The result of reading a znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryZnode {
    /// Its data.
    pub data: Vec<u8>,
    /// The transaction that last wrote it.
    pub mzxid: i64,
    /// The number of its children.
    pub num_children: i32,
}

/// A tree of znodes and the watches of one client.
#[derive(Debug)]
pub struct MemoryServer {
    tree: Tree,
    watches: Watches,
    /// Persistent recursive watches, which are set again on every new connection of the session.
    recursive: BTreeSet<String>,
    forbidden: BTreeSet<String>,
    is_old: bool,
    notes: VecDeque<(u64, String, WatchEvent)>,
    notes_sent: u64,
}

impl MemoryServer {
    /// An empty server. An old server has no persistent watches.
    #[must_use]
    pub fn new(is_old: bool) -> Self {
        Self {
            tree: Tree::new(),
            watches: Watches::default(),
            recursive: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            is_old,
            notes: VecDeque::new(),
            notes_sent: 0,
        }
    }

    /// Writes a znode, or creates it if its parent exists; returns whether it did.
    pub fn put(&mut self, path: &str, data: &[u8]) -> bool {
        let parent = super::tree::split(path).map_or("/", |(parent, _)| parent);
        let is_done = self.tree.node(parent).is_ok() && self.tree.put(path, data, 0).is_ok();
        self.fire();
        is_done
    }

    /// Deletes a znode that has no children; returns whether it did.
    pub fn delete(&mut self, path: &str) -> bool {
        let is_done = self.tree.transact(|tree| tree.delete(path, -1)).is_ok();
        self.fire();
        is_done
    }

    /// Forbids or allows reading a znode. That triggers no watch.
    pub fn forbid(&mut self, path: &str, is_forbidden: bool) {
        if is_forbidden {
            self.forbidden.insert(path.to_owned());
        } else {
            self.forbidden.remove(path);
        }
    }

    /// Allows reading all znodes.
    pub fn allow_all(&mut self) {
        self.forbidden.clear();
    }

    fn fire(&mut self) {
        for change in self.tree.take_changes() {
            for event in self.watches.fire(&change) {
                let noted = match event.is {
                    EventType::Created => WatchEvent::Created,
                    EventType::Deleted => WatchEvent::Deleted,
                    EventType::DataChanged => WatchEvent::Data,
                    EventType::ChildrenChanged => WatchEvent::Children,
                };
                self.notes_sent += 1;
                self.notes.push_back((self.notes_sent, event.path, noted));
            }
        }
    }

    fn check(&self, path: &str) -> Result<(), i32> {
        self.tree.node(path)?;
        if self.forbidden.contains(path) { Err(code::NO_AUTH) } else { Ok(()) }
    }

    /// Reads a znode.
    ///
    /// # Errors
    ///
    /// The protocol's error code; no watch is set.
    pub fn get(&mut self, path: &str, is_watching: bool) -> Result<MemoryZnode, i32> {
        self.check(path)?;
        if is_watching {
            self.watches.add_data(path, CLIENT);
        }
        let node = self.tree.node(path)?;
        let num_children = i32::try_from(node.children.len()).expect("a test has fewer");
        Ok(MemoryZnode { data: node.data.clone(), mzxid: node.modified_zxid, num_children })
    }

    /// Lists the children of a znode, sorted.
    ///
    /// # Errors
    ///
    /// The protocol's error code; no watch is set.
    pub fn list(&mut self, path: &str, is_watching: bool) -> Result<Vec<String>, i32> {
        self.check(path)?;
        if is_watching {
            self.watches.add_children(path, CLIENT);
        }
        Ok(self.tree.node(path)?.children.iter().cloned().collect())
    }

    /// Checks whether a znode exists; a watch is set in either case.
    pub fn exists(&mut self, path: &str, is_watching: bool) -> bool {
        if is_watching {
            self.watches.add_data(path, CLIENT);
        }
        self.tree.node(path).is_ok()
    }

    /// Sets a persistent recursive watch.
    ///
    /// # Errors
    ///
    /// The protocol's error code if the server is old.
    pub fn watch_tree(&mut self, path: &str) -> Result<(), i32> {
        if self.is_old {
            return Err(code::UNIMPLEMENTED);
        }
        self.recursive.insert(path.to_owned());
        self.watches.add_recursive(path, CLIENT);
        Ok(())
    }

    /// Breaks the connection: removes all watches and drops pending events. Persistent watches
    /// are set again by [`Self::reconnect`] unless the session is over.
    pub fn disconnect(&mut self, is_session_over: bool) {
        self.watches.forget(CLIENT);
        self.notes.clear();
        if is_session_over {
            self.recursive.clear();
        }
    }

    /// Connects again and sets the persistent watches of the session again.
    pub fn reconnect(&mut self) {
        for path in &self.recursive {
            self.watches.add_recursive(path, CLIENT);
        }
    }

    /// Takes the next watch event, with its number.
    pub fn next_note(&mut self) -> Option<(u64, String, WatchEvent)> {
        self.notes.pop_front()
    }

    /// Whether all watch events have been taken.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.notes.is_empty()
    }

    /// The number of the latest watch event.
    #[must_use]
    pub const fn notes_sent(&self) -> u64 {
        self.notes_sent
    }

    /// Whether a znode exists.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.tree.node(path).is_ok()
    }

    /// The data of a znode, even if reading it is forbidden.
    #[must_use]
    pub fn data(&self, path: &str) -> Option<Vec<u8>> {
        self.tree.node(path).ok().map(|node| node.data.clone())
    }

    /// The paths of all znodes below this one, sorted.
    #[must_use]
    pub fn below(&self, path: &str) -> Vec<String> {
        self.tree.below(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(server: &mut MemoryServer) -> Vec<(String, WatchEvent)> {
        std::iter::from_fn(|| server.next_note()).map(|(_, path, noted)| (path, noted)).collect()
    }

    #[test]
    fn watches_tell_as_those_of_a_real_server_do() {
        let mut server = MemoryServer::new(false);
        assert!(server.put("/t", b"1") && !server.put("/none/x", b""));
        server.watch_tree("/t").unwrap();
        assert!(server.put("/t/a", b"2"));
        assert_eq!(server.get("/t/a", true).unwrap().data, b"2");
        assert!(server.put("/t/a", b"3"));
        assert_eq!(
            notes(&mut server),
            [("/t/a".to_owned(), WatchEvent::Created), ("/t/a".to_owned(), WatchEvent::Data)]
        );
        server.list("/t", true).unwrap();
        server.disconnect(false);
        assert!(server.delete("/t/a"));
        server.reconnect();
        assert!(notes(&mut server).is_empty());
        assert!(server.put("/t/b", b""));
        assert_eq!(notes(&mut server), [("/t/b".to_owned(), WatchEvent::Created)]);
        server.disconnect(true);
        server.reconnect();
        assert!(server.put("/t/b", b"4"));
        assert!(server.is_quiet());
    }

    #[test]
    fn what_is_forbidden_is_there_and_an_old_server_watches_no_tree() {
        let mut server = MemoryServer::new(true);
        assert!(server.put("/t", b""));
        server.forbid("/t", true);
        assert_eq!(server.get("/t", false), Err(code::NO_AUTH));
        assert_eq!(server.list("/t", false), Err(code::NO_AUTH));
        assert!(server.exists("/t", true) && server.watch_tree("/t").is_err());
        server.allow_all();
        assert!(server.get("/t", false).is_ok());
        assert_eq!(server.get("/none", true), Err(code::NO_NODE));
        assert!(server.delete("/t"));
        assert_eq!(notes(&mut server), [("/t".to_owned(), WatchEvent::Deleted)]);
    }
}
