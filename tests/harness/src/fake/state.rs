//! The state of a fake ensemble.
//!
//! **Invariant.** A session has at most one connection. A connection that is not in the table
//! has been shut down.

use super::seen::RecordedRequest;
use super::timeouts::Timeouts;
use super::tree::Tree;
use super::watches::{ConnectionId, EventType, Watches};
use crate::garble::{FrameKind, Garbler};
use crate::port::Port;
use crate::wire::{FRAME_MAX, Framer, Pack, xid};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server's id within its ensemble.
pub(crate) type ServerId = u64;

/// A test's code that runs after a request was applied and before it is answered.
pub(crate) type Hook = Box<dyn FnOnce() + Send>;

/// How many bytes of requests may be pending on one connection before the server stops
/// reading them, and how many bytes of replies before it stops processing requests.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// How many requests a server records; the oldest are dropped first.
const SEEN_MAX: usize = 100_000;

/// The first session id: large like a real one, and not mistaken for a zxid.
const FIRST_SESSION: i64 = 0x0100_0000_0000_0001;

/// A fault of the next request with a certain opcode.
pub(crate) enum RequestFault {
    Hook(Hook),
    DropUnapplied,
    Answer(i32),
    Body(Vec<u8>),
}

pub(crate) struct Faults {
    pub(crate) is_stalled: bool,
    pub(crate) delay: Duration,
    pub(crate) garbler: Garbler,
    pub(crate) is_old: bool,
    pub(crate) refuses_auth: bool,
    pub(crate) frame_max: usize,
    pub(crate) requests: Vec<(i32, RequestFault)>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            is_stalled: false,
            delay: Duration::ZERO,
            garbler: Garbler::default(),
            is_old: false,
            refuses_auth: false,
            frame_max: FRAME_MAX,
            requests: Vec::new(),
        }
    }
}

pub(crate) struct Server {
    pub(crate) port: Port,
    pub(crate) faults: Faults,
    pub(crate) seen: VecDeque<RecordedRequest>,
    pub(crate) pings: u64,
    pub(crate) accepted: u64,
}

impl Server {
    pub(crate) fn record(&mut self, seen: RecordedRequest) {
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(seen);
    }

    /// Removes the first fault for this opcode: each applies once.
    pub(crate) fn take_request_fault(&mut self, opcode: i32) -> Option<RequestFault> {
        let index = self.faults.requests.iter().position(|(wanted, _)| *wanted == opcode)?;
        Some(self.faults.requests.remove(index).1)
    }
}

pub(crate) struct Session {
    pub(crate) password: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) last_seen: Instant,
    pub(crate) connection: Option<ConnectionId>,
}

/// A frame to be sent.
pub(crate) struct Outgoing {
    pub(crate) frame: Vec<u8>,
    pub(crate) kind: FrameKind,
    pub(crate) since: Instant,
}

pub(crate) struct Connection {
    pub(crate) server: ServerId,
    pub(crate) socket: Arc<TcpStream>,
    pub(crate) framer: Framer,
    /// The first frame has been read, which is the handshake.
    pub(crate) is_handshake_read: bool,
    /// Read but not processed yet.
    pub(crate) requests: VecDeque<Vec<u8>>,
    requests_bytes: usize,
    pub(crate) replies: VecDeque<Outgoing>,
    replies_bytes: usize,
    /// A reply that is held until the next one has been sent.
    pub(crate) kept: Option<Vec<u8>>,
    /// Bytes that the socket has not accepted yet.
    pub(crate) out: Vec<u8>,
    pub(crate) session: Option<i64>,
    pub(crate) credentials: Vec<(String, Vec<u8>)>,
    /// The client has closed its side.
    pub(crate) is_eof: bool,
    pub(crate) is_mute: bool,
    /// The connection is closed when all replies are sent.
    pub(crate) is_closing: bool,
}

impl Connection {
    fn new(server: ServerId, socket: TcpStream) -> Self {
        Self {
            server,
            socket: Arc::new(socket),
            framer: Framer::default(),
            is_handshake_read: false,
            requests: VecDeque::new(),
            requests_bytes: 0,
            replies: VecDeque::new(),
            replies_bytes: 0,
            kept: None,
            out: Vec::new(),
            session: None,
            credentials: Vec::new(),
            is_eof: false,
            is_mute: false,
            is_closing: false,
        }
    }

    pub(crate) fn hold_request(&mut self, frame: Vec<u8>) {
        self.requests_bytes += frame.len();
        self.requests.push_back(frame);
    }

    pub(crate) fn next_request(&mut self) -> Option<Vec<u8>> {
        let frame = self.requests.pop_front()?;
        self.requests_bytes -= frame.len();
        Some(frame)
    }

    pub(crate) fn send(&mut self, frame: Vec<u8>, kind: FrameKind) {
        self.replies_bytes += frame.len();
        self.replies.push_back(Outgoing { frame, kind, since: Instant::now() });
    }

    pub(crate) fn next_reply(&mut self) -> Option<Outgoing> {
        let reply = self.replies.pop_front()?;
        self.replies_bytes -= reply.frame.len();
        Some(reply)
    }

    pub(crate) fn may_read(&self) -> bool {
        let waiting = self.requests_bytes + self.framer.held();
        !self.is_eof && !self.is_closing && waiting < WAITING_BYTES_MAX
    }

    pub(crate) const fn may_work(&self) -> bool {
        !self.is_closing && self.replies_bytes + self.out.len() < WAITING_BYTES_MAX
    }
}

pub(crate) struct State {
    pub(crate) tree: Tree,
    pub(crate) watches: Watches,
    pub(crate) sessions: BTreeMap<i64, Session>,
    pub(crate) servers: BTreeMap<ServerId, Server>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) timeouts: Timeouts,
    /// The paths that require credentials, with scheme and secret.
    pub(crate) locks: BTreeMap<String, (String, Vec<u8>)>,
    pub(crate) is_expiry_held: bool,
    pub(crate) is_stopping: bool,
    ids_given: u64,
    sessions_given: i64,
}

impl State {
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self {
            tree: Tree::new(),
            watches: Watches::default(),
            sessions: BTreeMap::new(),
            servers: BTreeMap::new(),
            connections: BTreeMap::new(),
            timeouts,
            locks: BTreeMap::new(),
            is_expiry_held: false,
            is_stopping: false,
            ids_given: 0,
            sessions_given: 0,
        }
    }

    fn next_id(&mut self) -> u64 {
        self.ids_given += 1;
        self.ids_given
    }

    pub(crate) fn add_server(&mut self, port: Port) -> ServerId {
        let server = Server {
            port,
            faults: Faults::default(),
            seen: VecDeque::new(),
            pings: 0,
            accepted: 0,
        };
        let id = self.next_id();
        self.servers.insert(id, server);
        id
    }

    pub(crate) fn add_connection(&mut self, server: ServerId, socket: TcpStream) {
        let id = self.next_id();
        self.connections.insert(id, Connection::new(server, socket));
    }

    pub(crate) fn open_session(&mut self, timeout: Duration) -> i64 {
        let id = FIRST_SESSION + self.sessions_given;
        self.sessions_given += 1;
        // Opening a session takes a zxid.
        let opened = self.tree.transact(|_| Ok(()));
        debug_assert_eq!(opened, Ok(()));
        let password = [id.to_be_bytes(), (!id).to_be_bytes()].concat();
        let session = Session { password, timeout, last_seen: Instant::now(), connection: None };
        self.sessions.insert(id, session);
        id
    }

    /// Ends a session: deletes its nodes and closes its connection unless that is `spared`.
    pub(crate) fn end_session(&mut self, id: i64, spared: Option<ConnectionId>) {
        let Some(session) = self.sessions.remove(&id) else { return };
        // Before the deletions, so that the client gets no event of them.
        match session.connection.filter(|connection| Some(*connection) != spared) {
            Some(connection) => self.close(connection),
            None => session.connection.into_iter().for_each(|id| self.watches.forget(id)),
        }
        self.tree.end_session(id);
        self.send_events();
    }

    /// Closes a connection at once; replies that were not sent are lost.
    pub(crate) fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        // Fails only if the client has closed the connection already.
        drop(connection.socket.shutdown(Shutdown::Both));
        self.watches.forget(id);
        let session = connection.session.and_then(|session| self.sessions.get_mut(&session));
        if let Some(session) = session.filter(|session| session.connection == Some(id)) {
            session.connection = None;
        }
    }

    pub(crate) fn connections_of(&self, server: ServerId) -> Vec<ConnectionId> {
        let of_server = self.connections.iter().filter(|(_, c)| c.server == server);
        of_server.map(|(id, _)| *id).collect()
    }

    /// Queues the watch events of all changes since the last call.
    pub(crate) fn send_events(&mut self) {
        for change in self.tree.take_changes() {
            for event in self.watches.fire(&change) {
                self.send_event(event.to, event.is, &event.path);
            }
        }
    }

    pub(crate) fn send_event(&mut self, id: ConnectionId, is: EventType, path: &str) {
        const SYNC_CONNECTED: i32 = 3;
        let event = Pack::reply(xid::EVENT, -1, 0).int(is as i32).int(SYNC_CONNECTED).string(path);
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.send(event.frame(), FrameKind::Event);
        }
    }

    /// Ends the sessions whose timeout has passed.
    pub(crate) fn expire_sessions(&mut self, now: Instant) {
        if self.is_expiry_held {
            return;
        }
        let silent = |session: &Session| session.last_seen + session.timeout <= now;
        let gone: Vec<i64> =
            self.sessions.iter().filter(|(_, s)| silent(s)).map(|(id, _)| *id).collect();
        for id in gone {
            self.end_session(id, None);
        }
    }

    /// When the next session expires unless its client sends something.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let ends = self.sessions.values().map(|session| session.last_seen + session.timeout);
        ends.min().filter(|_| !self.is_expiry_held)
    }
}
