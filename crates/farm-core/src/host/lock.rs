//! Locks with one holder per name on this host.
//!
//! A lock is a name in the abstract socket namespace, in which every user may take any name.
//! So a holder counts only if it is a process of this user or of root.
//!
//! **Invariant.** The kernel releases the lock when its holder dies, however it dies: such a
//! name leaves nothing behind.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, UnixCredentials, connect, getsockopt, socket,
};
use nix::unistd::geteuid;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// The kernel allows 107 bytes, some of which the digest and the prefix need.
const READABLE_BYTES_MAX: usize = 56;
/// How many processes may ask for a lock between two calls of [`HostLock::forget_askers`]: the
/// default of the kernel.
const ASKERS_MAX: usize = 4096;
/// How long to wait for a holder that has a name, but does not listen.
const PAUSE_MS: u16 = 10;

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process of this user, or of root, holds it.
    #[error("held by {0}")]
    Held(Holder),
    /// Another user has the name, or nobody knows who. Anybody can do that.
    #[error("its name is taken by {0}")]
    Foreign(Holder),
    /// A system call failed.
    #[error("cannot take the local lock")]
    Io(#[source] io::Error),
}

/// The process that holds a lock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its pid, unless it is in another pid namespace.
    pub pid: Option<i32>,
    /// Its user, if it is another one.
    pub uid: Option<u32>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}")?,
            None => f.write_str("another process")?,
        }
        self.uid.map_or(Ok(()), |uid| write!(f, " of user {uid}"))
    }
}

/// A lock that is held as long as this lives.
#[derive(Debug)]
pub struct HostLock {
    // Closed on exec, so that no child keeps the lock.
    listener: UnixListener,
}

impl HostLock {
    /// Takes the lock of this name, or says who holds it.
    ///
    /// Names belong to the network namespace: two containers with separate networks do not
    /// see each other's locks.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] and [`LockError::Foreign`] if another process has the name.
    pub fn take(name: &str) -> Result<Self, LockError> {
        let address = address_of(name);
        let bound = SocketAddr::from_abstract_name(&address)
            .and_then(|address| UnixListener::bind_addr(&address))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        match bound {
            Ok(listener) => Ok(Self { listener }),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(held_at(&address)),
            Err(e) => Err(LockError::Io(e)),
        }
    }

    /// As [`HostLock::take`], but waits until then for a holder that is just ending: a
    /// killed process keeps the lock until the kernel has closed its descriptors.
    ///
    /// # Errors
    ///
    /// As [`HostLock::take`], if the holder lives on.
    pub fn take_by(name: &str, until: Instant) -> Result<Self, LockError> {
        loop {
            let outcome = Self::take(name);
            let is_held = matches!(outcome, Err(LockError::Held(_) | LockError::Foreign(_)));
            if !is_held || !ends_by(&address_of(name), until) {
                return outcome;
            }
        }
    }

    /// Makes room for those who ask who holds the lock: the kernel keeps each of them in a queue,
    /// and with a full queue, nobody can tell that the holder is one of ours.
    pub fn forget_askers(&self) {
        for _ in 0..ASKERS_MAX {
            if self.listener.accept().is_err() {
                return;
            }
        }
    }
}

/// Waits for the holder to end. The kernel then closes its socket, and with it a
/// connection that was never accepted.
fn ends_by(address: &[u8], until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let connection = match connect_to_holder(address) {
        Ok(connection) => connection,
        // The holder has ended meanwhile, or does not listen yet.
        Err(Errno::ECONNREFUSED) => return !left.is_zero() && poll(&mut [], PAUSE_MS).is_ok(),
        Err(_) => return false,
    };
    let mut fds = [PollFd::new(connection.as_fd(), PollFlags::POLLIN)];
    // Rounded up, so that the wait is never too short.
    let wait = left + Duration::from_nanos(999_999);
    let timeout = PollTimeout::try_from(wait.as_millis()).unwrap_or(PollTimeout::MAX);
    poll(&mut fds, timeout).is_ok_and(|ready| ready > 0)
}

/// Connects to the holder without waiting: it accepts no connection, and its queue may be
/// full.
fn connect_to_holder(address: &[u8]) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let connection = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(connection.as_raw_fd(), &UnixAddr::new_abstract(address)?)?;
    Ok(connection)
}

/// The error that names the process with this address.
fn held_at(address: &[u8]) -> LockError {
    let credentials =
        connect_to_holder(address).and_then(|connection| getsockopt(&connection, PeerCredentials));
    let Ok(credentials) = credentials else { return LockError::Foreign(Holder::default()) };
    let (holder, own) = (holder_of(&credentials), geteuid().as_raw());
    if [own, 0].contains(&credentials.uid()) {
        LockError::Held(Holder { uid: holder.uid.filter(|uid| *uid != own), ..holder })
    } else {
        LockError::Foreign(holder)
    }
}

fn holder_of(credentials: &UnixCredentials) -> Holder {
    let pid = Some(credentials.pid()).filter(|pid| *pid != 0);
    Holder { pid, uid: Some(credentials.uid()) }
}

/// A short unique name: the start of the name for readers, and a digest of all of it.
fn address_of(name: &str) -> Vec<u8> {
    let mut end = name.len().min(READABLE_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("zkjoin:{}:{:032x}", &name[..end], digest(name.as_bytes())).into_bytes()
}

/// FNV-1a with 128 bits: the same in every build, unlike the hashers of the standard
/// library. A forged collision is no threat: its author could as well take the lock.
fn digest(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests;
