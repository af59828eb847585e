//! Who owns the znode's name: the lock on this host, and other sessions that hold it.

use crate::entry::{Leftovers, hostname_of};
use crate::options::Config;
use farm_core::cli::{Exit, Failure};
use farm_core::host::lock::{HostLock, LockError};
use farm_core::session::{SessionId, Znode, ZnodePath};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a previous zkjoin that was just killed may take to exit.
const LOCK_WAIT: Duration = Duration::from_millis(250);
/// How often a lock is tried again whose name another user has.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How often those who ask for a lock of ours are forgotten.
const ASKERS_INTERVAL: Duration = Duration::from_secs(30);

/// The locks that make sure that only one `zkjoin` on this host keeps the znode. With all of them
/// held, a znode with our hostname is left over from an earlier run.
///
/// There is a lock per server, so that two runs that list the servers in different
/// orders, or only some of them, still share a lock. The locks are taken in sorted
/// order, so that two runs that start at once do not both give up.
///
/// Any user can take the name of a lock. That costs the right to replace a left-over znode, and
/// nothing else.
#[derive(Debug)]
pub(crate) struct NameLocks {
    entry: ZnodePath,
    /// `None` while another user has the name.
    locks: BTreeMap<String, Option<HostLock>>,
    next: Instant,
}

impl NameLocks {
    /// Takes the locks.
    ///
    /// # Errors
    ///
    /// If another zkjoin of this user, or of root, holds one.
    pub(crate) fn take(config: &Config) -> Result<Self, Failure> {
        let (servers, entry) = (&config.session.servers, config.entry.clone());
        let chroot = if servers.chroot().is_root() { "" } else { servers.chroot().as_str() };
        let names = servers.list().iter().map(|server| server.to_string().to_lowercase());
        let names: BTreeSet<String> = names.map(|name| format!("{name}{chroot}{entry}")).collect();
        let now = Instant::now();
        let mut locks = BTreeMap::new();
        let mut foreign = None;
        for name in names {
            let lock = match HostLock::take_by(&name, now + LOCK_WAIT) {
                Ok(lock) => Some(lock),
                Err(LockError::Foreign(holder)) => {
                    foreign = foreign.or(Some(holder));
                    None
                }
                Err(error) => {
                    let what = format!("only one zkjoin on this host may keep {entry}");
                    return Err(Failure::from(error).during(what));
                }
            };
            locks.insert(name, lock);
        }
        if let Some(holder) = foreign {
            let uid = holder.uid.map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
            let pid = holder.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
            log::warn!(path:% = entry, uid, pid; "the name of our lock is taken, going on without it");
        }
        let mut locks = Self { entry, locks, next: now };
        locks.plan(now);
        Ok(locks)
    }

    /// Whether all locks are held.
    pub(crate) fn are_complete(&self) -> bool {
        self.locks.values().all(Option::is_some)
    }

    /// When to call [`NameLocks::tick`].
    pub(crate) const fn deadline(&self) -> Instant {
        self.next
    }

    /// Takes the locks that are missing. Another zkjoin of ours may have been faster: then it
    /// takes the znode as well, or ends.
    pub(crate) fn tick(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        let was_complete = self.are_complete();
        for (name, lock) in &mut self.locks {
            match lock {
                Some(lock) => lock.forget_askers(),
                None => *lock = HostLock::take(name).ok(),
            }
        }
        if !was_complete && self.are_complete() {
            log::info!(path:% = self.entry; "the lock is ours now");
        }
        self.plan(now);
    }

    fn plan(&mut self, now: Instant) {
        self.next = now + if self.are_complete() { ASKERS_INTERVAL } else { RETRY_INTERVAL };
    }
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
