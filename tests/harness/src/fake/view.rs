//! A test's view of an ensemble and a server.

use super::seen::{RecordedRequest, SessionInfo};
use super::state::{Server, ServerId, State};
use std::fmt;

/// A consistent view of a server, for [`FakeServer::wait_for`](super::FakeServer::wait_for).
pub struct View<'a> {
    pub(super) state: &'a State,
    pub(super) server: Option<ServerId>,
}

impl View<'_> {
    fn server(&self) -> Option<&Server> {
        self.state.servers.get(&self.server?)
    }

    /// The requests that have arrived at the server, oldest first, without pings and handshakes.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.server().map(|server| server.seen.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many requests with this opcode have arrived.
    #[must_use]
    pub fn count(&self, opcode: i32) -> usize {
        let seen = self.server().map(|server| &server.seen).into_iter().flatten();
        seen.filter(|seen| seen.opcode == opcode).count()
    }

    /// How many pings have arrived.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.server().map_or(0, |server| server.pings)
    }

    /// How many connections the server has accepted so far.
    #[must_use]
    pub fn connections_accepted(&self) -> u64 {
        self.server().map_or(0, |server| server.accepted)
    }

    /// How many connections are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.map_or(0, |server| self.state.connections_of(server).len())
    }

    /// The sessions of the ensemble.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        let sessions = self.state.sessions.iter().map(|(id, session)| SessionInfo {
            id: *id,
            timeout: session.timeout,
            is_connected: session.connection.is_some(),
        });
        sessions.collect()
    }

    /// A node's data, if the node exists.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.state.tree.node(path).ok().map(|node| node.data.clone())
    }

    /// A node's version, if the node exists.
    #[must_use]
    pub fn version(&self, path: &str) -> Option<i32> {
        self.state.tree.node(path).ok().map(|node| node.version)
    }

    /// The session that owns an ephemeral node; 0 for a persistent node.
    #[must_use]
    pub fn owner(&self, path: &str) -> Option<i64> {
        self.state.tree.node(path).ok().map(|node| node.owner)
    }

    /// A node's access list, each entry as `scheme:id:bits`; empty for a missing node.
    #[must_use]
    pub fn acl(&self, path: &str) -> Vec<String> {
        let node = self.state.tree.node(path).ok();
        node.map(|node| node.acl.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    /// The names of a node's children, sorted; empty for a missing node.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        let node = self.state.tree.node(path).ok();
        node.map(|node| node.children.iter().cloned().collect()).unwrap_or_default()
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("sessions", &self.sessions())
            .field("connections", &self.connections())
            .field("accepted", &self.connections_accepted())
            .field("pings", &self.pings())
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}
