//! Locks with one holder per name on this host.
//!
//! **Invariant.** The kernel releases the lock when its holder dies, however it dies: a
//! name in the abstract socket namespace leaves nothing behind.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::time::{Duration, Instant};

/// The kernel allows 107 bytes, some of which the digest and the prefix need.
const READABLE_BYTES_MAX: usize = 56;

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("held by {}", process(*.pid))]
    Held {
        /// Its pid, unless it is in another pid namespace.
        pid: Option<i32>,
    },
    /// A system call failed.
    #[error("cannot take the local lock")]
    Io(#[source] io::Error),
}

fn process(pid: Option<i32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A lock that is held as long as this lives.
#[derive(Debug)]
pub struct HostLock {
    // Closed on exec, so that no child keeps the lock.
    _listener: UnixListener,
}

impl HostLock {
    /// Takes the lock of this name, or says who holds it.
    ///
    /// Names belong to the network namespace: two containers with separate networks do not
    /// see each other's locks.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if another process holds it.
    pub fn take(name: &str) -> Result<Self, LockError> {
        let address = address_of(name);
        let bound = SocketAddr::from_abstract_name(&address)
            .and_then(|address| UnixListener::bind_addr(&address));
        match bound {
            Ok(listener) => Ok(Self { _listener: listener }),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
                Err(LockError::Held { pid: holder(&address).ok() })
            }
            Err(e) => Err(LockError::Io(e)),
        }
    }
}

impl HostLock {
    /// As [`HostLock::take`], but waits until then for a holder that is just ending: a
    /// killed process keeps the lock until the kernel has closed its descriptors.
    ///
    /// # Errors
    ///
    /// [`LockError::Held`] if the holder lives on.
    pub fn take_by(name: &str, until: Instant) -> Result<Self, LockError> {
        loop {
            let outcome = Self::take(name);
            let is_held = matches!(outcome, Err(LockError::Held { .. }));
            if !is_held || !ends_by(&address_of(name), until) {
                return outcome;
            }
        }
    }
}

/// Waits for the holder to end. The kernel then closes its socket, and with it a
/// connection that was never accepted.
fn ends_by(address: &[u8], until: Instant) -> bool {
    let connection = match connect_to_holder(address) {
        Ok(connection) => connection,
        // The holder has ended meanwhile.
        Err(Errno::ECONNREFUSED) => return Instant::now() < until,
        Err(_) => return false,
    };
    let mut fds = [PollFd::new(connection.as_fd(), PollFlags::POLLIN)];
    // Rounded up, so that the wait is never too short.
    let wait = until.saturating_duration_since(Instant::now()) + Duration::from_nanos(999_999);
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

/// The pid of the process that listens there.
fn holder(address: &[u8]) -> nix::Result<i32> {
    let connection = connect_to_holder(address)?;
    match getsockopt(&connection, PeerCredentials)?.pid() {
        0 => Err(Errno::ESRCH),
        pid => Ok(pid),
    }
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
mod tests {
    use super::*;
    use farm_harness::eventually;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    const CHILD: &str = "FARM_TEST_LOCK";

    fn unique(name: &str) -> String {
        format!("{name}-{}", std::process::id())
    }

    #[test]
    fn a_taken_lock_names_its_holder_until_it_is_dropped() {
        let name = unique("/services/db/10.0.0.1");
        let lock = HostLock::take(&name).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        for _ in 0..10 {
            match HostLock::take(&name) {
                Err(LockError::Held { pid }) => assert_eq!(pid, Some(own)),
                other => panic!("{other:?}"),
            }
        }
        drop(lock);
        // A child that another test has just forked keeps the lock until its exec.
        drop(eventually("the lock is free", || HostLock::take(&name)));
    }

    #[test]
    fn a_holder_that_ends_is_waited_for_and_one_that_lives_on_is_not_for_long() {
        let name = unique("dying");
        let lock = HostLock::take(&name).unwrap();
        let soon = Instant::now() + Duration::from_millis(50);
        assert!(matches!(HostLock::take_by(&name, soon), Err(LockError::Held { .. })));
        assert!(Instant::now() >= soon);
        let (waiting, is_waiting) = std::sync::mpsc::channel();
        let ending = std::thread::Builder::new().spawn(move || {
            is_waiting.recv().unwrap();
            drop(lock);
        });
        let later = Instant::now() + Duration::from_secs(20);
        waiting.send(()).unwrap();
        drop(HostLock::take_by(&name, later).unwrap());
        assert!(Instant::now() < later);
        ending.unwrap().join().unwrap();
    }

    #[test]
    fn asking_a_thousand_times_never_blocks() {
        let name = unique("crowded");
        let _lock = HostLock::take(&name).unwrap();
        // More than the queue of a listener holds; later callers get no pid.
        for _ in 0..5000 {
            assert!(matches!(HostLock::take(&name), Err(LockError::Held { .. })));
        }
    }

    #[test]
    fn long_names_that_differ_at_the_end_are_two_locks() {
        let long = "x".repeat(500);
        let _one = HostLock::take(&unique(&format!("{long}1"))).unwrap();
        let _two = HostLock::take(&unique(&format!("{long}2"))).unwrap();
        assert!(address_of(&"\u{1f600}".repeat(100)).len() <= 107);
        assert_eq!(digest(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(digest(b"foobar"), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
    }

    #[test]
    fn a_lock_does_not_outlive_a_holder_that_was_killed() {
        // This test, in a process of its own, is the holder.
        if let Ok(name) = std::env::var(CHILD) {
            let _lock = HostLock::take(&name).unwrap();
            let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
            let mut line = String::new();
            std::io::Write::write_all(&mut std::io::stderr(), b"held\n").unwrap();
            std::io::stdin().read_line(&mut line).unwrap();
            sleeper.kill().unwrap();
            sleeper.wait().unwrap();
            return;
        }
        let name = unique("killed");
        let test = "host::lock::tests::a_lock_does_not_outlive_a_holder_that_was_killed";
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(CHILD, &name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(holder.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "held"));
        let pid = i32::try_from(holder.id()).unwrap();
        match HostLock::take(&name) {
            Err(LockError::Held { pid: Some(seen) }) => assert_eq!(seen, pid),
            other => panic!("{other:?}"),
        }
        holder.kill().unwrap();
        holder.wait().unwrap();
        // Its child lives on, and does not hold the lock.
        drop(eventually("the lock is free", || HostLock::take(&name)));
    }
}
