//! Servers, faults and tools under test.
//!
//! **Invariant.** Nothing outlives the process that uses this crate: its children are
//! killed on drop, and by the kernel if the process is killed first. Nothing here uses
//! the crates under test: a client that shared their code would share their bugs.

mod ensemble;
mod fake;
mod garble;
mod mutate;
mod output;
mod patience;
mod pki;
mod port;
mod proxy;
#[cfg(test)]
mod raw_client;
mod running;
mod scratch;
mod server;
mod spawner;
mod tmpfs;
mod tool;
pub mod toolbox;
mod waker;
mod wire;
mod zk;

pub use ensemble::{Chroot, Ensemble, Options, StartError, TlsOptions};
pub use fake::{
    FakeEnsemble, FakeServer, MemoryServer, MemoryZnode, RecordedRequest, SessionInfo, Timeouts,
    View, WatchEvent,
};
pub use garble::Garble;
pub use mutate::survive_mutations;
pub use nix::sys::signal::Signal;
pub use output::Output;
pub use patience::{eventually, eventually_within, holds_for, patience, seeds, until};
pub use pki::{Authority, IssuedCertificate};
pub use port::free as free_port;
pub use proxy::{FaultProxy, ProxyCounts};
pub use running::Running;
pub use scratch::Scratch;
pub use server::{Conf, Server, four_letter, mode};
pub use spawner::die_with_parent;
pub use tmpfs::Tmpfs;
pub use tool::Tool;
pub use wire::{code, op};
pub use zk::{Acl, Create, Stat, Zk, ZkError, Znode, kill_session};
