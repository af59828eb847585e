//! Loopback ports: numbers that nobody uses, and one that can be closed and
//! opened again.
//!
//! **Invariant.** The port number belongs to its [`Port`] from start to drop,
//! also while it refuses: no other process of a busy test run can take it.

use nix::sys::socket::{self, Backlog, Shutdown};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

// Below the range the kernel takes source ports from: while a server is down, a
// client that connects to its port could otherwise get that very port as its
// own and be connected to itself.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;

/// How often a start is repeated when another process was quicker.
const BIND_ATTEMPTS_MAX: u32 = 20;

/// A port that nobody listens on now, and that this process was not given before.
///
/// # Panics
///
/// When all are taken.
#[must_use]
pub fn free() -> u16 {
    static START: OnceLock<u32> = OnceLock::new();
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // A random start keeps test processes that run at the same time apart.
    let start = START.get_or_init(|| RandomState::new().build_hasher().finish() as u32 % COUNT);
    for _ in 0..COUNT {
        let step = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + (start + step) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port on 127.0.0.1 from {FIRST} on");
}

#[derive(Debug)]
pub(crate) struct Port {
    listener: Arc<TcpListener>,
    addr: SocketAddr,
    is_open: bool,
}

impl Port {
    /// Listens on a free loopback port.
    pub(crate) fn open() -> io::Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::bind() {
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && attempt < BIND_ATTEMPTS_MAX =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn bind() -> io::Result<Self> {
        // By its number: a socket bound to port 0 gives the number back to the
        // system when it stops listening, one bound to the number keeps it.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free()))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok(Self { listener: Arc::new(listener), addr, is_open: true })
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses connections, at once and also for whoever waits to be accepted.
    pub(crate) fn refuse(&mut self) {
        if self.is_open {
            // Leaves the state of listening, keeps the number.
            socket::shutdown(self.listener.as_raw_fd(), Shutdown::Both)
                .expect("a listening socket can be shut down");
            self.is_open = false;
        }
    }

    /// Listens again on the same port.
    pub(crate) fn accept(&mut self) {
        if !self.is_open {
            socket::listen(&*self.listener, Backlog::MAXCONN)
                .expect("a bound socket can listen again");
            self.is_open = true;
        }
    }

    /// The socket to poll, while the port is open.
    pub(crate) fn listener(&self) -> Option<Arc<TcpListener>> {
        self.is_open.then(|| Arc::clone(&self.listener))
    }

    /// The next connection that waits, made ready for a poll loop.
    pub(crate) fn next(&mut self) -> Option<TcpStream> {
        while self.is_open {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    // Fails only for a peer that has gone already.
                    if stream.set_nonblocking(true).is_ok() && stream.set_nodelay(true).is_ok() {
                        return Some(stream);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                // Out of descriptors: a refused port is honest, a spinning loop is not.
                Err(_) => self.refuse(),
            }
        }
        None
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The poll loop may hold the socket for a moment longer.
        self.refuse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_given_once() {
        let (one, other) = (free(), free());
        assert_ne!(one, other);
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, one)).is_ok());
    }

    #[test]
    fn refused_port_comes_back_under_the_same_number() {
        let mut port = Port::open().unwrap();
        for _ in 0..50 {
            let waiting = TcpStream::connect(port.addr()).unwrap();
            port.refuse();
            assert_eq!(
                TcpStream::connect(port.addr()).unwrap_err().kind(),
                io::ErrorKind::ConnectionRefused
            );
            drop(waiting);
            port.accept();
            let client = TcpStream::connect(port.addr()).unwrap();
            let served = port.next().unwrap();
            assert_eq!(served.peer_addr().unwrap(), client.local_addr().unwrap());
        }
    }

    #[test]
    fn dropped_port_refuses() {
        let port = Port::open().unwrap();
        let addr = port.addr();
        let held = port.listener();
        drop(port);
        assert!(TcpStream::connect(addr).is_err());
        drop(held);
    }
}
