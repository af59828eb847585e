//! What the proxy's thread and the test's threads share.

use super::pipe::Pipe;
use crate::garble::Garbler;
use crate::port::Port;
use crate::waker::Waker;
use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What has passed through a proxy so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProxyCounts {
    /// Connections accepted from tools, including closed ones.
    pub connections: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Bytes delivered to the server.
    pub bytes_to_server: u64,
    /// Bytes delivered to the tools.
    pub bytes_to_client: u64,
}

/// A client's connection, the server's connection, and the bytes between them.
pub(super) struct ConnectionPair {
    pub(super) client: Arc<TcpStream>,
    /// `None` until bytes may flow to the server.
    pub(super) server: Option<Arc<TcpStream>>,
    pub(super) up: Pipe,
    pub(super) down: Pipe,
}

pub(super) struct State {
    pub(super) port: Port,
    pub(super) is_stalled_up: bool,
    pub(super) is_stalled_down: bool,
    pub(super) is_half_next: bool,
    pub(super) slow: Duration,
    pub(super) garbler: Garbler,
    pub(super) pairs: BTreeMap<u64, ConnectionPair>,
    pub(super) counts: ProxyCounts,
    pub(super) last_session: Option<(i64, Vec<u8>)>,
    pub(super) is_stopping: bool,
}

impl State {
    pub(super) fn close(&mut self, id: u64) {
        let Some(pair) = self.pairs.remove(&id) else { return };
        // Fails only if the peer has closed the connection already.
        for socket in [Some(pair.client), pair.server].into_iter().flatten() {
            drop(socket.shutdown(Shutdown::Both));
        }
        self.counts.open -= 1;
    }
}

/// The state behind a lock instead of messages: when a method returns, its change has been
/// made, and the test's next line can rely on it.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) waker: Waker,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
