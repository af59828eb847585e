//! Who owns the znode's name: the lock on this host, and other sessions that hold it.

use crate::entry::{Leftovers, hostname_of};
use crate::options::Config;
use farm_core::cli::{Exit, Failure};
use farm_core::host::lock::{HostLock, LockError};
use farm_core::session::{SessionId, Znode, ZnodePath};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long a previous zkjoin that was just killed may take to exit.
const LOCK_WAIT: Duration = Duration::from_millis(250);

/// Makes sure that only one `zkjoin` on this host keeps this znode. With the lock
/// held, a znode with our hostname is left over from an earlier run.
///
/// There is a lock per server, so that two runs that list the servers in different
/// orders, or only some of them, still share a lock. The locks are taken in sorted
/// order, so that two runs that start at once do not both give up.
pub(crate) fn lock(config: &Config) -> Result<Vec<HostLock>, Failure> {
    let servers = &config.session.servers;
    let chroot = if servers.chroot().is_root() { "" } else { servers.chroot().as_str() };
    let server = |server: &farm_core::session::Server| server.to_string().to_lowercase();
    let list: BTreeSet<String> = servers.list().iter().map(server).collect();
    let until = Instant::now() + LOCK_WAIT;
    let lock =
        |server: &String| HostLock::take_by(&format!("{server}{chroot}{}", config.entry), until);
    let locks: Result<_, LockError> = list.iter().map(lock).collect();
    locks.map_err(|error| {
        let what = format!("only one zkjoin on this host may keep {}", config.entry);
        Failure::from(error).during(what)
    })
}

/// The sessions that may own the znode besides this one.
#[derive(Debug)]
pub(crate) struct Owners {
    pub(crate) leftovers: Leftovers,
    /// Another host, or another program, whose znode we wait for to go.
    pub(crate) other: Option<OtherOwner>,
}

#[derive(Debug)]
pub(crate) struct OtherOwner {
    /// When we stop waiting.
    until: Instant,
    /// Its znode as last read; `None` until it is read again.
    znode: Option<Znode>,
}

impl Owners {
    /// `hostname` is the one that a znode of an earlier run holds.
    pub(crate) const fn new(hostname: Option<String>) -> Self {
        Self { leftovers: Leftovers { hostname, sessions: Vec::new() }, other: None }
    }

    /// Another owner holds the znode. The time to wait for it starts only once.
    pub(crate) fn wait_for(&mut self, znode: Znode, wait: Duration, path: &ZnodePath) {
        let (owner, wait_ms) = (SessionId(znode.stat.ephemeral_owner), wait.as_millis());
        let other = self.other.get_or_insert_with(|| {
            log::warn!(path:%, owner:%, wait_ms; "the name is taken, waiting");
            OtherOwner { until: Instant::now() + wait, znode: None }
        });
        other.znode = Some(znode);
    }

    /// The znode may have changed: the next read shows whether the other owner still has it.
    pub(crate) fn invalidate(&mut self) {
        self.other.iter_mut().for_each(|other| other.znode = None);
    }

    /// When to stop waiting for the other owner.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.other.as_ref().filter(|other| other.znode.is_some()).map(|other| other.until)
    }

    /// The other owner's znode, if we have waited long enough for it to go.
    pub(crate) fn overdue(&self, now: Instant) -> Option<&Znode> {
        self.other.as_ref().filter(|other| now >= other.until)?.znode.as_ref()
    }
}

/// The error that names the owner of the znode.
pub(crate) fn taken_by(config: &Config, znode: &Znode) -> Failure {
    let entry = &config.entry;
    let what = if znode.stat.ephemeral_owner == 0 {
        format!("{entry} is a persistent znode: no zkjoin owns it")
    } else {
        let owner = SessionId(znode.stat.ephemeral_owner);
        let host = hostname_of(znode);
        let host = host.map_or_else(String::new, |host| format!(" of host {host:?}"));
        format!("{entry} belongs to session {owner}{host}")
    };
    Failure::new(Exit::Contended, what).hint("choose another name with --name")
}
