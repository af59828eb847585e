//! A ZooKeeper server inside the test, with faults at the push of a button.
//!
//! [`FakeServer`] listens on a loopback port and speaks enough of the protocol
//! for a client's session layer and for whole tools: sessions, ephemeral and
//! sequential nodes, watches, multi. Several servers may share one
//! [`FakeEnsemble`], which is one tree and one table of sessions, so that a
//! client can move from server to server. Faults are verbs of a server and take
//! effect at once; facts are methods of the same names on the server and on the
//! [`View`] that [`FakeServer::wait_for`] hands out.
//!
//! ```
//! use farm_harness::{FakeEnsemble, code, op};
//! use std::time::Duration;
//!
//! let ensemble = FakeEnsemble::start();
//! let (first, second) = (ensemble.server(), ensemble.server());
//! ensemble.put("/services/db", b"{}");
//! println!("--zookeeper {},{}", first.addr(), second.addr());
//!
//! // The client's next write happens, but its answer never comes.
//! first.before_reply(op::SET_DATA, |server| server.cut());
//! // What somebody else does sets off the client's watches.
//! ensemble.put("/services/db/web1", b"1");
//! // A hung server, and one that is gone.
//! second.stall();
//! first.refuse();
//! first.cut();
//! assert!(second.wait_for(Duration::from_secs(1), |view| view.sessions().is_empty()));
//! ```
//!
//! What it does as a real server would: a session outlives its connections by
//! its timeout ([`FakeEnsemble::hold_expiry`] stops that clock, as the loss of a
//! quorum does); watches belong to a connection; a resumed session's earlier
//! connection ends; the tree has a `/zookeeper`. What it doesn't: ACLs are kept
//! and never enforced ([`FakeEnsemble::lock`] is there for that), containers and
//! TTL are unknown, and nothing is written to disk.
//!
//! **Invariant.** One thread per ensemble, none per connection; dropping the last
//! handle joins it and frees every port.

mod ensemble;
mod memory;
mod requests;
mod server;
mod state;
mod tree;
mod turn;
mod view;
mod watches;
mod writes;

#[cfg(test)]
mod tests;

pub use ensemble::FakeEnsemble;
pub use memory::{MemoryServer, MemoryZnode, Noted};
pub use server::FakeServer;
pub use view::View;

use crate::bell::Bell;
use state::State;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request that reached a server, whether it was answered or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// When it had arrived.
    pub at: Instant,
    /// What was asked for; see [`op`](crate::op).
    pub opcode: i32,
    /// What it was about; the first one's path for a multi.
    pub path: Option<String>,
    /// Who asked; 0 for a request right behind a handshake that is not answered yet.
    pub session: i64,
    /// The request's number within its connection.
    pub xid: i32,
}

/// A session that the ensemble keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSeen {
    /// Its number.
    pub id: i64,
    /// After how much silence it ends.
    pub timeout: Duration,
    /// Whether a connection carries it now.
    pub is_connected: bool,
}

/// What session timeouts an ensemble grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The shortest one.
    pub least: Duration,
    /// The longest one.
    pub most: Duration,
    /// What everybody gets, whatever they ask for.
    pub always: Option<Duration>,
}

impl Default for Timeouts {
    /// Two and twenty ticks of two seconds, as a real server is set up.
    fn default() -> Self {
        Self { least: Duration::from_secs(4), most: Duration::from_secs(40), always: None }
    }
}

impl Timeouts {
    fn grant(self, wanted: Duration) -> Duration {
        self.always.unwrap_or_else(|| wanted.max(self.least).min(self.most))
    }
}

/// What the serving thread and the test's threads share.
///
/// A lock and not messages: a verb has done its work when it returns, so that
/// the test's next line can rely on it.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Rung after every turn of the serving thread.
    changed: Condvar,
    bell: Bell,
}

impl Shared {
    /// A probe that panicked while it held the lock has changed nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes the serving thread to act on it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let outcome = change(&mut self.lock());
        self.bell.ring();
        self.changed.notify_all();
        outcome
    }
}
