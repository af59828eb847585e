//! The tree and the sessions that the servers of an ensemble share.

use super::event_loop;
use super::seen::SessionInfo;
use super::shared::Shared;
use super::state::State;
use super::timeouts::Timeouts;
use super::view::View;
use crate::waker::Waker;
use crate::wire::Pack;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// A handle to the tree and the sessions of an ensemble.
///
/// Clones refer to the same ensemble, which ends when the last handle and the last server are
/// dropped.
#[derive(Clone)]
pub struct FakeEnsemble {
    pub(super) shared: Arc<Shared>,
    /// `None` in the handle that is passed to a hook: the serving thread could not join itself.
    _serving: Option<Arc<ServingThread>>,
}

/// Stops and joins the serving thread when the last handle is dropped.
struct ServingThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ServingThread {
    fn drop(&mut self) {
        self.shared.change(|state| state.is_stopping = true);
        // A hook may own the last handle, which is then dropped on the serving thread itself.
        let current = std::thread::current().id();
        let thread = self.thread.take().filter(|thread| thread.thread().id() != current);
        let outcome = thread.map(JoinHandle::join);
        // Dropped after the lock is released: values that a hook captured may lock the state in
        // their own drop.
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
    /// Starts an ensemble that grants the default timeouts.
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
            waker: Waker::new().expect("the system has sockets left"),
        });
        let serving = Arc::clone(&shared);
        let thread = Builder::new()
            .name("fake-ensemble".to_owned())
            .spawn(move || event_loop::serve(&serving))
            .expect("the system has threads left");
        let serving_thread = ServingThread { shared: Arc::clone(&shared), thread: Some(thread) };
        Self { shared, _serving: Some(Arc::new(serving_thread)) }
    }

    pub(super) fn for_hook(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), _serving: None }
    }

    /// Changes the granted timeouts from the next handshake on.
    pub fn set_timeouts(&self, timeouts: Timeouts) {
        self.shared.change(|state| state.timeouts = timeouts);
    }

    /// Creates or writes a node as another client would, and creates missing parents.
    ///
    /// # Panics
    ///
    /// When the path is invalid or below an ephemeral node.
    pub fn put(&self, path: &str, data: &[u8]) {
        self.put_ephemeral(path, data, 0);
    }

    /// Like [`Self::put`], but the node belongs to a session; see [`Self::open_session`].
    ///
    /// # Panics
    ///
    /// When the path is invalid or below an ephemeral node.
    pub fn put_ephemeral(&self, path: &str, data: &[u8], session: i64) {
        let outcome = self.shared.change(|state| {
            let outcome = state.tree.put(path, data, session);
            state.send_events();
            outcome
        });
        assert_eq!(outcome, Ok(()), "can't put {path}");
    }

    /// Deletes a node and everything below it as another client would; returns whether it
    /// existed.
    pub fn delete(&self, path: &str) -> bool {
        self.shared.change(|state| {
            let was_there = state.tree.delete_all(path);
            state.send_events();
            was_there
        })
    }

    /// Makes lists of a node's children name that many more of eight bytes each, which do not exist.
    ///
    /// # Panics
    ///
    /// When the node does not exist.
    #[track_caller]
    pub fn invent_children(&self, path: &str, count: usize) {
        // Made here, because the server is silent while it works.
        let names = (0..count).fold(Pack::new(), |packed, n| packed.string(&format!("x{n:07}")));
        let names = names.body().into();
        let outcome = self.shared.change(|state| state.tree.invent_children(path, count, &names));
        assert_eq!(outcome, Ok(()), "can't invent children of {path}");
    }

    /// Requires these credentials for reading or writing this node and for creating or deleting
    /// its children. Other clients get error -102.
    pub fn lock(&self, path: &str, scheme: &str, secret: &[u8]) {
        let key = (scheme.to_owned(), secret.to_vec());
        self.shared.change(|state| state.locks.insert(path.to_owned(), key));
    }

    /// Opens a session without a connection, like the one that a killed process leaves behind.
    #[must_use]
    pub fn open_session(&self, timeout: Duration) -> i64 {
        self.shared.change(|state| state.open_session(timeout))
    }

    /// Expires a session: deletes its ephemeral nodes and closes its connection. Returns whether
    /// the session existed.
    pub fn expire(&self, session: i64) -> bool {
        self.shared.change(|state| {
            let is_known = state.sessions.contains_key(&session);
            state.end_session(session, None);
            is_known
        })
    }

    /// Expires all sessions.
    pub fn expire_all(&self) {
        self.shared.change(|state| {
            let sessions: Vec<i64> = state.sessions.keys().copied().collect();
            sessions.into_iter().for_each(|session| state.end_session(session, None));
        });
    }

    /// Suspends the expiry of sessions.
    pub fn hold_expiry(&self) {
        self.shared.change(|state| state.is_expiry_held = true);
    }

    /// Resumes the expiry of sessions. Every session's timeout begins anew, as after a leader
    /// election.
    pub fn resume_expiry(&self) {
        self.shared.change(|state| {
            state.is_expiry_held = false;
            let now = Instant::now();
            state.sessions.values_mut().for_each(|session| session.last_seen = now);
        });
    }

    fn view<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        read(&View { state: &self.shared.lock(), server: None })
    }

    /// A node's data, if the node exists.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.view(|view| view.get(path))
    }

    /// A node's version, if the node exists.
    #[must_use]
    pub fn version(&self, path: &str) -> Option<i32> {
        self.view(|view| view.version(path))
    }

    /// The session that owns an ephemeral node; 0 for a persistent node.
    #[must_use]
    pub fn owner(&self, path: &str) -> Option<i64> {
        self.view(|view| view.owner(path))
    }

    /// A node's access list, each entry as `scheme:id:bits`; empty for a missing node.
    #[must_use]
    pub fn acl(&self, path: &str) -> Vec<String> {
        self.view(|view| view.acl(path))
    }

    /// The names of a node's children, sorted; empty for a missing node.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<String> {
        self.view(|view| view.children(path))
    }

    /// The sessions that have not expired.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.view(|view| view.sessions())
    }
}

impl fmt::Debug for FakeEnsemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeEnsemble").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}
