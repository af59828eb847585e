//! A ZooKeeper server inside the test process that injects faults on request.
//!
//! [`FakeServer`] listens on a loopback port and implements the part of the protocol that a
//! client's session layer and whole tools need: sessions, ephemeral and sequential nodes,
//! watches, multi. Several servers may share one [`FakeEnsemble`], which has the tree and the
//! sessions, so that a client can move from server to server. Methods of a server inject
//! faults, which take effect at once. The server's state can be read on the server, and by
//! the same methods on the [`View`] that [`FakeServer::wait_for`] passes.
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
//! // The client's next write is applied, but its answer is lost.
//! first.before_reply(op::SET_DATA, |server| server.cut());
//! // Another client's write triggers watches.
//! ensemble.put("/services/db/web1", b"1");
//! // One server hangs, the other one is gone.
//! second.stall();
//! first.refuse();
//! first.cut();
//! assert!(second.wait_for(Duration::from_secs(1), |view| view.sessions().is_empty()));
//! ```
//!
//! Like a real server: a session outlives its connection by its timeout
//! ([`FakeEnsemble::hold_expiry`] suspends expiry, as the loss of a quorum does); watches
//! belong to a connection; resuming a session closes its earlier connection; the tree has
//! `/zookeeper`. Unlike a real server: ACLs are stored but not enforced
//! ([`FakeEnsemble::lock`] restricts access instead), containers and TTL nodes are unknown,
//! and nothing is written to disk.
//!
//! **Invariant.** There is one thread per ensemble. Dropping the last handle joins it and
//! frees all ports.

mod ensemble;
mod event_loop;
mod memory;
mod requests;
mod seen;
mod server;
mod shared;
mod state;
mod timeouts;
mod tree;
mod view;
mod watches;
mod writes;

#[cfg(test)]
mod tests;

pub use ensemble::FakeEnsemble;
pub use memory::{MemoryServer, MemoryZnode, WatchEvent};
pub use seen::{RecordedRequest, SessionInfo};
pub use server::FakeServer;
pub use timeouts::Timeouts;
pub use view::View;
