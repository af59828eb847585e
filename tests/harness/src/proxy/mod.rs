//! A TCP proxy between a tool and a real server that injects faults on request.
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
//! // A black hole: it accepts connections, but no byte passes.
//! proxy.stall();
//! // Everything that was held back is delivered.
//! proxy.pass();
//! // The server ends the tool's session.
//! proxy.expire().unwrap();
//! ```
//!
//! The proxy splits the stream into ZooKeeper's frames; bytes that are no frames pass
//! unchanged. If the server refuses the proxy's connection, the proxy closes the tool's
//! connection.
//!
//! **Invariant.** One thread per proxy owns all sockets. It blocks only in `poll` and, for a
//! short time, in connecting to the loopback server. Dropping the proxy joins the thread.

mod event_loop;
mod pipe;
mod state;

#[cfg(test)]
mod tests;

pub use state::ProxyCounts;

use self::state::{Shared, State};
use crate::garble::{Garble, Garbler};
use crate::patience;
use crate::port::Port;
use crate::waker::Waker;
use crate::zk::{ZkError, kill_session};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How often ending a session is tried.
const EXPIRE_ATTEMPTS_MAX: u32 = 10;

/// A TCP proxy that injects faults.
pub struct FaultProxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
    upstream: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts a proxy without faults on a free loopback port.
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
            waker: Waker::new().expect("the system has sockets left"),
        });
        let serving = Arc::clone(&shared);
        let thread = Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || event_loop::serve(&serving, upstream))
            .expect("the system has threads left");
        Self { shared, addr, upstream, thread: Some(thread) }
    }

    /// The proxy's address.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.lock());
        self.shared.waker.wake();
        self.shared.changed.notify_all();
    }

    /// Clears all faults and delivers what was held back.
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

    /// Becomes a black hole: accepts connections and bytes, but forwards nothing.
    pub fn stall(&self) {
        self.change(|state| {
            state.is_stalled_up = true;
            state.is_stalled_down = true;
        });
    }

    /// Holds back what the tool sends, but not what the server sends.
    pub fn stall_towards_server(&self) {
        self.change(|state| state.is_stalled_up = true);
    }

    /// Holds back what the server sends, but not what the tool sends.
    pub fn stall_towards_client(&self) {
        self.change(|state| state.is_stalled_down = true);
    }

    /// Delays every frame in both directions.
    pub fn slow(&self, delay: Duration) {
        self.change(|state| state.slow = delay);
    }

    /// Closes all connections on both sides with FIN. New connections are accepted.
    pub fn cut(&self) {
        self.change(|state| {
            let ids: Vec<u64> = state.pairs.keys().copied().collect();
            ids.into_iter().for_each(|id| state.close(id));
        });
    }

    /// Resets all connections, as a rebooted machine or a firewall does.
    pub fn reset(&self) {
        self.change(|state| {
            for pair in std::mem::take(&mut state.pairs).into_values() {
                for socket in [Some(pair.client), pair.server].into_iter().flatten() {
                    // With a linger time of 0, closing the socket sends a reset.
                    let at_once = linger { l_onoff: 1, l_linger: 0 };
                    setsockopt(&*socket, sockopt::Linger, &at_once)
                        .expect("every socket has this option");
                }
                state.counts.open -= 1;
            }
        });
    }

    /// Closes the port: new connections are refused. Open connections stay.
    pub fn refuse(&self) {
        self.change(|state| state.port.refuse());
    }

    /// Opens the same port again.
    pub fn accept(&self) {
        self.change(|state| state.port.accept());
    }

    /// Corrupts the next matching frame on its way to a tool; see [`Garble`].
    pub fn garble_next(&self, garble: Garble) {
        self.change(|state| state.garbler.push(garble));
    }

    /// Delivers half of the server's next frame and stalls. [`Self::pass`] delivers the other
    /// half.
    pub fn half_frame_then_stall(&self) {
        self.change(|state| state.is_half_next = true);
    }

    /// What has passed through so far.
    #[must_use]
    pub fn counts(&self) -> ProxyCounts {
        self.shared.lock().counts
    }

    /// Waits until the counts satisfy `probe`; returns `false` after `limit` (scaled).
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

    /// The id and the password of the session that the server granted last.
    #[must_use]
    pub fn last_session(&self) -> Option<(i64, Vec<u8>)> {
        self.shared.lock().last_session.clone()
    }

    /// Ends that session over a separate connection to the server, which looks to the session's
    /// owner as if it had expired.
    ///
    /// # Errors
    ///
    /// When no session was granted yet, or the server does not answer.
    pub fn expire(&self) -> io::Result<()> {
        let (session, password) = self.last_session().ok_or(io::ErrorKind::NotFound)?;
        let mut attempts_left = EXPIRE_ATTEMPTS_MAX;
        loop {
            attempts_left -= 1;
            match kill_session(self.upstream, session, &password) {
                // A session that is gone already is fine.
                Ok(()) | Err(ZkError::SessionExpired) => return Ok(()),
                // The tool resumed its session meanwhile, which closes our connection.
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
        // A connection may have been accepted between the first cut and the end of the thread.
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
