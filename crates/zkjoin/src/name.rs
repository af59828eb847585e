//! Whose name it is: the lock on this host, and the others who hold it.

use crate::entry::{LeftOver, hostname_of};
use crate::options::Config;
use farm_core::cli::{Exit, Failure};
use farm_core::host::lock::{HostLock, LockError};
use farm_core::session::{SessionId, Znode, ZnodePath};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A run before us that was just killed may take so long to be gone.
const DYING: Duration = Duration::from_millis(250);

/// Makes sure that one `zkjoin` on this host keeps this znode; that also tells that
/// one with our hostname is left over from an earlier run.
///
/// There is a lock for each server, so that those who name the servers in another
/// order, or only some of them, meet in one of them. They are taken in one order, lest
/// two that start at once both give up.
pub(crate) fn take(config: &Config) -> Result<Vec<HostLock>, Failure> {
    let servers = &config.session.servers;
    let chroot = if servers.chroot().is_root() { "" } else { servers.chroot().as_str() };
    let server = |server: &farm_core::session::Server| server.to_string().to_lowercase();
    let list: BTreeSet<String> = servers.list().iter().map(server).collect();
    let until = Instant::now() + DYING;
    let take =
        |server: &String| HostLock::take_by(&format!("{server}{chroot}{}", config.entry), until);
    let locks: Result<_, LockError> = list.iter().map(take).collect();
    locks.map_err(|error| {
        Failure::from(error).during(format!("one zkjoin on this host may keep {}", config.entry))
    })
}

/// Those who hold the name and are not this session: what is left of us, and somebody else.
#[derive(Debug)]
pub(crate) struct Holders {
    pub(crate) left_over: LeftOver,
    pub(crate) rival: Option<Rival>,
}

/// Somebody else who holds the name, and whom we wait for to go.
#[derive(Debug)]
pub(crate) struct Rival {
    until: Instant,
    /// Their znode as it was read last; `None` until it is read again.
    znode: Option<Znode>,
}

impl Holders {
    /// Nobody was met yet; `hostname` is what is in a znode that an earlier run left.
    pub(crate) const fn new(hostname: Option<String>) -> Self {
        Self { left_over: LeftOver { hostname, sessions: Vec::new() }, rival: None }
    }

    /// Somebody else is there. However often they are met, we wait for them once.
    pub(crate) fn meet(&mut self, znode: Znode, patience: Duration, path: &ZnodePath) {
        let (owner, wait_ms) = (SessionId(znode.stat.ephemeral_owner), patience.as_millis());
        let rival = self.rival.get_or_insert_with(|| {
            log::warn!(path:%, owner:%, wait_ms; "the name is taken, waiting");
            Rival { until: Instant::now() + patience, znode: None }
        });
        rival.znode = Some(znode);
    }

    /// Something changed: whether they are there will be known when it was read.
    pub(crate) fn unsure(&mut self) {
        self.rival.iter_mut().for_each(|rival| rival.znode = None);
    }

    /// When to stop waiting for them.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.rival.as_ref().filter(|rival| rival.znode.is_some()).map(|rival| rival.until)
    }

    /// Their znode, if we have waited long enough.
    pub(crate) fn outstays(&self, now: Instant) -> Option<&Znode> {
        self.rival.as_ref().filter(|rival| now >= rival.until)?.znode.as_ref()
    }
}

/// Says who holds the name.
pub(crate) fn taken(config: &Config, znode: &Znode) -> Failure {
    let entry = &config.entry;
    let what = if znode.stat.ephemeral_owner == 0 {
        format!("{entry} is persistent: it is of no zkjoin")
    } else {
        let owner = SessionId(znode.stat.ephemeral_owner);
        let host = hostname_of(znode);
        let host = host.map_or_else(String::new, |host| format!(" of host {host:?}"));
        format!("{entry} belongs to session {owner}{host}")
    };
    Failure::new(Exit::Contended, what).hint("choose another name with --name")
}
