//! A fake server: its port and its faults.

use super::ensemble::FakeEnsemble;
use super::seen::RecordedRequest;
use super::shared::Shared;
use super::state::{Faults, RequestFault, ServerId};
use super::timeouts::Timeouts;
use super::view::View;
use crate::garble::Garble;
use crate::patience;
use crate::port::Port;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// A server of a [`FakeEnsemble`], whose methods it has by dereferencing.
///
/// Dropping it closes its port and its connections. The ensemble ends with its last server and
/// handle.
pub struct FakeServer {
    ensemble: FakeEnsemble,
    id: ServerId,
    addr: SocketAddr,
    /// Dropping the handle that is passed to a hook does not close the server.
    is_for_hook: bool,
}

impl FakeEnsemble {
    /// Adds a server on a free port.
    #[must_use]
    pub fn server(&self) -> FakeServer {
        let port = Port::open().expect("the system has loopback ports left");
        let addr = port.addr();
        let id = self.shared.change(|state| state.add_server(port));
        FakeServer { ensemble: self.clone(), id, addr, is_for_hook: false }
    }
}

impl Deref for FakeServer {
    type Target = FakeEnsemble;

    fn deref(&self) -> &FakeEnsemble {
        &self.ensemble
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if !self.is_for_hook {
            self.cut();
            // Dropped after the lock is released: a hook may own a value whose drop takes the lock.
            drop(self.shared.change(|state| state.servers.remove(&self.id)));
        }
    }
}

impl FakeServer {
    /// Starts a server with its own ensemble.
    #[must_use]
    pub fn start() -> Self {
        FakeEnsemble::start().server()
    }

    /// Starts a server that grants these timeouts.
    #[must_use]
    pub fn start_with(timeouts: Timeouts) -> Self {
        FakeEnsemble::start_with(timeouts).server()
    }

    fn for_hook(shared: &Arc<Shared>, id: ServerId) -> Self {
        let addr = shared.lock().servers.get(&id).map(|server| server.port.addr());
        let addr = addr.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self { ensemble: FakeEnsemble::for_hook(shared), id, addr, is_for_hook: true }
    }

    /// The address for clients.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn fault(&self, change: impl FnOnce(&mut Faults)) {
        self.shared.change(|state| {
            if let Some(server) = state.servers.get_mut(&self.id) {
                change(&mut server.faults);
            }
        });
    }

    /// Hangs: accepts and reads, but applies and answers nothing, not even a handshake. Sessions
    /// that no other server hears from expire.
    pub fn stall(&self) {
        self.fault(|faults| faults.is_stalled = true);
    }

    /// Ends the hang: applies the pending requests in order, including those of clients that have
    /// disconnected since.
    pub fn unstall(&self) {
        self.fault(|faults| faults.is_stalled = false);
    }

    /// Closes all connections; replies that are not sent are lost. New connections are accepted.
    pub fn cut(&self) {
        self.shared.change(|state| {
            state.connections_of(self.id).into_iter().for_each(|id| state.close(id));
        });
    }

    /// Closes the port: new connections are refused. Open connections stay.
    pub fn refuse(&self) {
        self.shared.change(|state| {
            if let Some(server) = state.servers.get_mut(&self.id) {
                server.port.refuse();
            }
        });
    }

    /// Opens the same port again.
    pub fn accept(&self) {
        self.shared.change(|state| {
            if let Some(server) = state.servers.get_mut(&self.id) {
                server.port.accept();
            }
        });
    }

    /// Corrupts the next matching frame; see [`Garble`].
    pub fn garble(&self, garble: Garble) {
        self.fault(|faults| faults.garbler.push(garble));
    }

    /// Delays every reply and event, and keeps their order.
    pub fn delay(&self, delay: Duration) {
        self.fault(|faults| faults.delay = delay);
    }

    /// Behaves like a server older than 3.6: answers addWatch, setWatches2 and multiRead with
    /// error -6 and closes the connection.
    pub fn old_version(&self) {
        self.fault(|faults| faults.is_old = true);
    }

    /// Refuses all credentials: answers with error -115 and closes the connection.
    pub fn refuse_auth(&self) {
        self.fault(|faults| faults.refuses_auth = true);
    }

    /// Limits the size of requests (at most 8 MiB) and closes a connection that exceeds it.
    pub fn max_frame(&self, bytes: usize) {
        self.fault(|faults| faults.frame_max = bytes.min(8 << 20));
    }

    /// Runs `hook` after the next request with this opcode was applied and before it is
    /// answered; with `|server| server.cut()` the client never gets the answer. The whole ensemble
    /// waits for the hook.
    pub fn before_reply(&self, opcode: i32, hook: impl FnOnce(&Self) + Send + 'static) {
        // Weak, because the state owns the hook.
        let (shared, id) = (Arc::downgrade(&self.shared), self.id);
        let hook = move || {
            if let Some(shared) = shared.upgrade() {
                hook(&Self::for_hook(&shared, id));
            }
        };
        self.fault(|faults| faults.requests.push((opcode, RequestFault::Hook(Box::new(hook)))));
    }

    /// Closes the connection when the next request with this opcode arrives, without applying
    /// the request.
    pub fn drop_before_apply(&self, opcode: i32) {
        self.fault(|faults| faults.requests.push((opcode, RequestFault::DropUnapplied)));
    }

    /// Answers the next request with this opcode with an error, without applying the request.
    pub fn answer_with(&self, opcode: i32, error: i32) {
        self.fault(|faults| faults.requests.push((opcode, RequestFault::Answer(error))));
    }

    /// Answers the next request with this opcode with success and these bytes, without applying
    /// the request.
    pub fn answer_with_body(&self, opcode: i32, body: &[u8]) {
        let body = body.to_vec();
        self.fault(|faults| faults.requests.push((opcode, RequestFault::Body(body))));
    }

    /// Clears all faults of this server.
    pub fn heal(&self) {
        self.accept();
        // Dropped after the lock is released: a hook may own a value whose drop takes the lock.
        drop(self.shared.change(|state| {
            let server = state.servers.get_mut(&self.id);
            server.map(|server| std::mem::take(&mut server.faults))
        }));
    }

    /// Waits until the server's state satisfies `probe`; returns `false` after `limit` (scaled).
    /// The probe must use only the view, because it runs under the lock.
    #[must_use]
    pub fn wait_for(&self, limit: Duration, probe: impl Fn(&View<'_>) -> bool) -> bool {
        let deadline = Instant::now() + patience(limit);
        let mut state = self.shared.lock();
        loop {
            if probe(&View { state: &state, server: Some(self.id) }) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn view<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        read(&View { state: &self.shared.lock(), server: Some(self.id) })
    }

    /// The requests that have arrived, oldest first, without pings and handshakes.
    #[must_use]
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.view(|view| view.requests())
    }

    /// How many pings have arrived.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.view(|view| view.pings())
    }

    /// How many connections the server has accepted so far.
    #[must_use]
    pub fn connections_accepted(&self) -> u64 {
        self.view(|view| view.connections_accepted())
    }

    /// How many connections are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.view(|view| view.connections())
    }
}

impl fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeServer").field("addr", &self.addr).finish_non_exhaustive()
    }
}
