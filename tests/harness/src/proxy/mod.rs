//! A wire between a tool and a real server, with faults at the push of a button.
//!
//! ```no_run
//! use farm_harness::FaultProxy;
//! use std::time::Duration;
//!
//! let server = "127.0.0.1:2181".parse().unwrap();
//! let proxy = FaultProxy::start(server);
//! println!("--zookeeper {}", proxy.addr());
//!
//! assert!(proxy.wait_for(Duration::from_secs(5), |counts| counts.connections == 1));
//! // A black hole: nothing comes through, nothing is refused either.
//! proxy.stall();
//! // Everything that was held back arrives after all.
//! proxy.pass();
//! // The server forgets the tool's session behind its back.
//! proxy.expire().unwrap();
//! ```
//!
//! The proxy cuts the stream into frames as ZooKeeper does; what does not look
//! like frames passes as it is. A server that refuses the proxy shows to the
//! tool as a connection that ends at once.
//!
//! **Invariant.** One thread per proxy owns all sockets and never blocks but in
//! `poll`, or for a moment in a connect to the loopback server; dropping the
//! proxy joins it.

mod pipe;
mod turn;

#[cfg(test)]
mod tests;

use crate::bell::Bell;
use crate::garble::{Garble, Garbler};
use crate::patience;
use crate::port::Port;
use crate::zk::{ZkError, kill_session};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use pipe::Pipe;
use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long the proxy waits for the server behind it to take a connection.
const UPSTREAM_PATIENCE: Duration = Duration::from_secs(5);

/// What went through a proxy so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProxyCounts {
    /// Connections taken from tools, ended ones too.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Bytes delivered to the server.
    pub bytes_to_server: u64,
    /// Bytes delivered to the tools.
    pub bytes_to_client: u64,
}

/// How often the end of a session is tried.
const EXPIRE_ATTEMPTS_MAX: u32 = 10;

/// Two sockets and what is on its way between them.
struct Pair {
    client: Arc<TcpStream>,
    /// Absent until something may flow to the server.
    server: Option<Arc<TcpStream>>,
    up: Pipe,
    down: Pipe,
}

struct State {
    port: Port,
    is_stalled_up: bool,
    is_stalled_down: bool,
    is_half_next: bool,
    slow: Duration,
    garbler: Garbler,
    pairs: BTreeMap<u64, Pair>,
    counts: ProxyCounts,
    last_session: Option<(i64, Vec<u8>)>,
    is_stopping: bool,
}

impl State {
    fn close(&mut self, id: u64) {
        let Some(pair) = self.pairs.remove(&id) else { return };
        // Fails only where the other end was quicker.
        for socket in [Some(pair.client), pair.server].into_iter().flatten() {
            drop(socket.shutdown(Shutdown::Both));
        }
        self.counts.open -= 1;
    }
}

/// What the proxy's thread and the test's threads share.
///
/// A lock and not messages: a verb has done its work when it returns, so that
/// the test's next line can rely on it.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    bell: Bell,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP proxy that can stand in the way.
pub struct FaultProxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
    upstream: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy on a free loopback port; it passes everything.
    #[must_use]
    pub fn start(upstream: SocketAddr) -> Self {
        let port = Port::open().expect("the system has loopback ports left");
        let addr = port.addr();
        let state = State {
            port,
            is_stalled_up: false,
            is_stalled_down: false,
            is_half_next: false,
            slow: Duration::ZERO,
            garbler: Garbler::default(),
            pairs: BTreeMap::new(),
            counts: ProxyCounts::default(),
            last_session: None,
            is_stopping: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            bell: Bell::new().expect("the system has sockets left"),
        });
        let serving = Arc::clone(&shared);
        let thread = Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || turn::serve(&serving, upstream))
            .expect("the system has threads left");
        Self { shared, addr, upstream, thread: Some(thread) }
    }

    /// Where tools find it.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.bell.ring();
        self.shared.changed.notify_all();
    }

    /// Takes back every fault; what was held is delivered.
    pub fn pass(&self) {
        self.change(|state| {
            state.port.accept();
            state.is_stalled_up = false;
            state.is_stalled_down = false;
            state.is_half_next = false;
            state.slow = Duration::ZERO;
            state.garbler.clear();
        });
    }

    /// Becomes a black hole: takes connections and bytes, passes nothing on.
    pub fn stall(&self) {
        self.change(|state| {
            state.is_stalled_up = true;
            state.is_stalled_down = true;
        });
    }

    /// Holds back what the tool sends; what the server sends passes.
    pub fn stall_towards_server(&self) {
        self.change(|state| state.is_stalled_up = true);
    }

    /// Holds back what the server sends; what the tool sends passes.
    pub fn stall_towards_client(&self) {
        self.change(|state| state.is_stalled_down = true);
    }

    /// Lets every frame take this long, either way.
    pub fn slow(&self, delay: Duration) {
        self.change(|state| state.slow = delay);
    }

    /// Ends all connections in an orderly way, both ends; new ones are welcome.
    pub fn cut(&self) {
        self.change(|state| {
            let ids: Vec<u64> = state.pairs.keys().copied().collect();
            ids.into_iter().for_each(|id| state.close(id));
        });
    }

    /// Ends all connections with a reset, as a rebooted machine or a firewall does.
    pub fn reset(&self) {
        self.change(|state| {
            for pair in std::mem::take(&mut state.pairs).into_values() {
                for socket in [Some(pair.client), pair.server].into_iter().flatten() {
                    // With no time to linger, the last owner's drop sends the reset.
                    let at_once = linger { l_onoff: 1, l_linger: 0 };
                    setsockopt(&*socket, sockopt::Linger, &at_once)
                        .expect("every socket has this option");
                }
                state.counts.open -= 1;
            }
        });
    }

    /// Closes the port: new connections are refused. Open ones stay.
    pub fn refuse(&self) {
        self.change(|state| state.port.refuse());
    }

    /// Opens the same port again.
    pub fn accept(&self) {
        self.change(|state| state.port.accept());
    }

    /// Spoils the next frame of a kind on its way to a tool; see [`Garble`].
    pub fn garble_next(&self, garble: Garble) {
        self.change(|state| state.garbler.push(garble));
    }

    /// Delivers half of the server's next frame, then stalls; the other half
    /// comes after [`Self::pass`].
    pub fn half_frame_then_stall(&self) {
        self.change(|state| state.is_half_next = true);
    }

    /// What went through so far.
    #[must_use]
    pub fn counts(&self) -> ProxyCounts {
        self.shared.lock().counts
    }

    /// Waits until the counts satisfy `probe`, or that time (scaled) is over; says
    /// whether they did.
    #[must_use]
    pub fn wait_for(&self, limit: Duration, probe: impl Fn(&ProxyCounts) -> bool) -> bool {
        let deadline = Instant::now() + patience(limit);
        let mut state = self.shared.lock();
        loop {
            if probe(&state.counts) {
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

    /// Number and password of the session that a server has granted last.
    #[must_use]
    pub fn last_session(&self) -> Option<(i64, Vec<u8>)> {
        self.shared.lock().last_session.clone()
    }

    /// Ends that session on the server, over a connection of its own: the server
    /// then treats its owner as expired.
    ///
    /// # Errors
    ///
    /// When no session went through yet, or the server does not answer.
    pub fn expire(&self) -> io::Result<()> {
        let (session, password) = self.last_session().ok_or(io::ErrorKind::NotFound)?;
        let mut attempts_left = EXPIRE_ATTEMPTS_MAX;
        loop {
            attempts_left -= 1;
            match kill_session(self.upstream, session, &password) {
                // Gone already is as good.
                Ok(()) | Err(ZkError::SessionExpired) => return Ok(()),
                // A tool that is quick takes its session back, and ends our connection.
                Err(ZkError::Io(_)) if attempts_left > 0 => {}
                Err(ZkError::Io(error)) => return Err(error),
                Err(refusal) => return Err(io::Error::other(refusal)),
            }
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.cut();
        self.change(|state| {
            state.port.refuse();
            state.is_stopping = true;
        });
        let outcome = self.thread.take().map(JoinHandle::join);
        // A connection may have come in between the cut and the end.
        self.cut();
        if matches!(outcome, Some(Err(_))) && !std::thread::panicking() {
            panic!("the fault proxy's thread panicked");
        }
    }
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.addr)
            .field("upstream", &self.upstream)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}
