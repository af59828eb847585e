//! One tree and one table of sessions, behind any number of servers.

use super::server::FakeServer;
use super::state::State;
use super::view::View;
use super::{SessionSeen, Shared, Timeouts, turn};
use crate::bell::Bell;
use crate::port::Port;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// What the servers of an ensemble have in common.
///
/// A handle: clones are the same ensemble. It lives until the last of them and
/// of its servers is gone.
#[derive(Clone)]
pub struct FakeEnsemble {
    pub(super) shared: Arc<Shared>,
    /// Absent from the handle that a hook is given: it could not join itself.
    _keeper: Option<Arc<Keeper>>,
}

/// Ends the serving thread together with the last handle.
struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_stopping = true);
        // The last handle may go with a hook, on the very thread that it would wait for.
        let current = std::thread::current().id();
        let thread = self.thread.take().filter(|thread| thread.thread().id() != current);
        let outcome = thread.map(JoinHandle::join);
        // Taken out first: what a hook has captured may look at the state as it goes.
        let remains = self.shared.change(|state| {
            let connections: Vec<_> = state.connections.keys().copied().collect();
            connections.into_iter().for_each(|id| state.close(id));
            std::mem::take(&mut state.servers)
        });
        drop(remains);
        if matches!(outcome, Some(Err(_))) && !std::thread::panicking() {
            panic!("the fake ensemble's thread panicked");
        }
    }
}

impl FakeEnsemble {
    /// Starts an ensemble that grants the usual timeouts.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Timeouts::default())
    }

    /// Starts an ensemble that grants these timeouts.
    #[must_use]
    pub fn start_with(timeouts: Timeouts) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(timeouts)),
            changed: Condvar::new(),
            bell: Bell::new().expect("the system has sockets left"),
        });
        let serving = Arc::clone(&shared);
        let thread = Builder::new()
            .name("fake-ensemble".to_owned())
            .spawn(move || turn::serve(&serving))
            .expect("the system has threads left");
        let keeper = Keeper { shared: Arc::clone(&shared), thread: Some(thread) };
        Self { shared, _keeper: Some(Arc::new(keeper)) }
    }

    pub(super) fn visiting(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), _keeper: None }
    }

    /// Adds a server on a port of its own.
    #[must_use]
    pub fn server(&self) -> FakeServer {
        let port = Port::open().expect("the system has loopback ports left");
        let addr = port.addr();
        let id = self.shared.change(|state| state.add_server(port));
        FakeServer::new(self.clone(), id, addr)
    }

    /// Grants other timeouts from the next handshake on.
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.shared.change(|state| state.timeouts = timeouts);
    }

    /// Creates or changes a node as another client would; missing parents come too.
    ///
    /// # Panics
    ///
    /// When the path is not one, or leads below an ephemeral node.
    pub fn put(&self, path: &str, data: &[u8]) {
        self.put_ephemeral(path, data, 0);
    }

    /// The same, with a node that goes with a session; see [`Self::open_session`].
    ///
    /// # Panics
    ///
    /// When the path is not one, or leads below an ephemeral node.
    pub fn put_ephemeral(&self, path: &str, data: &[u8], session: i64) {
        let outcome = self.shared.change(|state| {
            let outcome = state.tree.put(path, data, session);
            state.tell_watchers();
            outcome
        });
        assert_eq!(outcome, Ok(()), "can't put {path}");
    }

    /// Deletes a node and what is below it as another client would; says whether it was there.
    pub fn delete(&self, path: &str) -> bool {
        self.shared.change(|state| {
            let was_there = state.tree.delete_all(path);
            state.tell_watchers();
            was_there
        })
    }

    /// Asks for credentials from whoever reads or changes this node, or creates
    /// or deletes nodes right below it. Others are told -102.
    pub fn lock(&self, path: &str, scheme: &str, secret: &[u8]) {
        let key = (scheme.to_owned(), secret.to_vec());
        self.shared.change(|state| state.locks.insert(path.to_owned(), key));
    }

    /// Opens a session that nobody is connected with, such as the one that a
    /// killed process leaves behind.
    #[must_use]
    pub fn open_session(&self, timeout: Duration) -> i64 {
        self.shared.change(|state| state.open_session(timeout))
    }

    /// Ends a session: its nodes go, its connection ends, it can't be resumed.
    /// Says whether there was one.
    pub fn expire(&self, session: i64) -> bool {
        self.shared.change(|state| {
            let is_known = state.sessions.contains_key(&session);
            state.end_session(session, None);
            is_known
        })
    }

    /// Ends all sessions.
    pub fn expire_all(&self) {
        self.shared.change(|state| {
            let sessions: Vec<i64> = state.sessions.keys().copied().collect();
            sessions.into_iter().for_each(|session| state.end_session(session, None));
        });
    }

    /// Stops the clock of the sessions: none ends by silence any more.
    pub fn hold_expiry(&self) {
        self.shared.change(|state| state.is_expiry_held = true);
    }

    /// Starts that clock again; every session has its whole timeout before it,
    /// as after the election of a leader.
    pub fn resume_expiry(&self) {
        self.shared.change(|state| {
            state.is_expiry_held = false;
            let now = Instant::now();
            state.sessions.values_mut().for_each(|session| session.heard = now);
        });
    }

    fn view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        look(&View { state: &self.shared.lock(), server: None })
    }

    /// A node's data, if the node is there.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.view(|view| view.get(path))
    }

    /// A node's version, if the node is there.
    #[must_use]
    pub fn version(&self, path: &str) -> Option<i32> {
        self.view(|view| view.version(path))
    }

    /// The session that an ephemeral node belongs to; 0 for a persistent one.
    #[must_use]
    pub fn owner(&self, path: &str) -> Option<i64> {
        self.view(|view| view.owner(path))
    }

    /// A node's access list, each entry as `scheme:id:bits`; none for a node that is
    /// not there.
    #[must_use]
    pub fn acl(&self, path: &str) -> Vec<String> {
        self.view(|view| view.acl(path))
    }

    /// The names below a node, sorted; none for a node that is not there.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        self.view(|view| view.children(path))
    }

    /// The sessions that have not ended.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionSeen> {
        self.view(|view| view.sessions())
    }
}

impl fmt::Debug for FakeEnsemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEnsemble").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}
