//! One server: its port and its faults.

use super::ensemble::FakeEnsemble;
use super::state::{Act, Faults, ServerId};
use super::view::View;
use super::{Seen, Shared, Timeouts};
use crate::garble::Garble;
use crate::patience;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// A server of a [`FakeEnsemble`]; what it can do with tree and sessions are the
/// ensemble's own methods.
///
/// Dropping it closes its port and its connections; the ensemble goes with its
/// last server and handle.
pub struct FakeServer {
    ensemble: FakeEnsemble,
    id: ServerId,
    addr: SocketAddr,
    /// A hook's handle comes and goes without the server.
    is_visiting: bool,
}

impl Deref for FakeServer {
    type Target = FakeEnsemble;

    fn deref(&self) -> &FakeEnsemble {
        &self.ensemble
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if !self.is_visiting {
            self.cut();
            // Dropped here, without the lock: a hook may own something that wants it.
            drop(self.shared.change(|state| state.servers.remove(&self.id)));
        }
    }
}

impl FakeServer {
    /// Starts a server with an ensemble of its own.
    #[must_use]
    pub fn start() -> Self {
        FakeEnsemble::start().server()
    }

    /// Starts a server that grants these timeouts.
    #[must_use]
    pub fn start_with(timeouts: Timeouts) -> Self {
        FakeEnsemble::start_with(timeouts).server()
    }

    pub(super) const fn new(ensemble: FakeEnsemble, id: ServerId, addr: SocketAddr) -> Self {
        Self { ensemble, id, addr, is_visiting: false }
    }

    pub(super) fn visiting(shared: &Arc<Shared>, id: ServerId) -> Self {
        let addr = shared.lock().servers.get(&id).map(|server| server.port.addr());
        let addr = addr.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self { ensemble: FakeEnsemble::visiting(shared), id, addr, is_visiting: true }
    }

    /// Where clients find it.
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

    /// Hangs: it accepts and reads, but does nothing and answers nothing, not even
    /// a handshake. Sessions that are heard by no other server run out.
    pub fn stall(&self) {
        self.fault(|faults| faults.is_stalled = true);
    }

    /// Wakes up: does what was asked for meanwhile, in order, also for clients
    /// that have hung up since.
    pub fn unstall(&self) {
        self.fault(|faults| faults.is_stalled = false);
    }

    /// Ends all connections; replies on their way are lost. New ones are welcome.
    pub fn cut(&self) {
        self.shared.change(|state| {
            state.connections_of(self.id).into_iter().for_each(|id| state.close(id));
        });
    }

    /// Closes the port: new connections are refused. Open ones stay.
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

    /// Spoils the next frame of a kind; see [`Garble`].
    pub fn garble(&self, garble: Garble) {
        self.fault(|faults| faults.garbler.push(garble));
    }

    /// Lets every reply and event take this long, one behind the other.
    pub fn delay(&self, delay: Duration) {
        self.fault(|faults| faults.delay = delay);
    }

    /// Becomes a server from before 3.6: addWatch, setWatches2 and multiRead are
    /// answered with -6, and the connection ends.
    pub fn old_version(&self) {
        self.fault(|faults| faults.is_old = true);
    }

    /// Refuses all credentials: answers -115 and ends the connection.
    pub fn refuse_auth(&self) {
        self.fault(|faults| faults.refuses_auth = true);
    }

    /// Takes requests up to this size, at most 8 MiB, and cuts whoever sends a larger one.
    pub fn max_frame(&self, bytes: usize) {
        self.fault(|faults| faults.frame_max = bytes.min(8 << 20));
    }

    /// Runs `hook` when the next request with this number has taken effect and
    /// before its answer goes out; `|server| server.cut()` leaves the client in
    /// the dark. The whole ensemble waits for the hook.
    pub fn before_reply(&self, opcode: i32, hook: impl FnOnce(&Self) + Send + 'static) {
        self.fault(|faults| faults.acts.push((opcode, Act::Hook(Box::new(hook)))));
    }

    /// Cuts the connection when the next request with this number is there, and
    /// does not do what it asks for.
    pub fn drop_before_apply(&self, opcode: i32) {
        self.fault(|faults| faults.acts.push((opcode, Act::DropUnapplied)));
    }

    /// Answers the next request with this number with an error and does not do
    /// what it asks for.
    pub fn answer_with(&self, opcode: i32, error: i32) {
        self.fault(|faults| faults.acts.push((opcode, Act::Answer(error))));
    }

    /// Takes back every fault of this server: works, answers and listens as new.
    pub fn heal(&self) {
        self.accept();
        // Dropped here, without the lock: a hook may own something that wants it.
        drop(self.shared.change(|state| {
            let server = state.servers.get_mut(&self.id);
            server.map(|server| std::mem::take(&mut server.faults))
        }));
    }

    /// Waits until a look at the server satisfies `probe`, or that time (scaled) is
    /// over; says whether it did. The probe must use nothing but the view.
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

    fn view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        look(&View { state: &self.shared.lock(), server: Some(self.id) })
    }

    /// What has arrived here, pings and handshakes apart, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.view(|view| view.requests())
    }

    /// How many pings have arrived here.
    #[must_use]
    pub fn pings(&self) -> u64 {
        self.view(|view| view.pings())
    }

    /// How many connections were taken so far.
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
