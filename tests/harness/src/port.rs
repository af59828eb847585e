//! Loopback ports: unused port numbers, and a port that can be closed and opened again.
//!
//! **Invariant.** A [`Port`] owns its number from start to drop, even while it refuses
//! connections: no other process of a busy test run can take it.

use nix::sys::socket::{self, Backlog, Shutdown};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

// Below the kernel's range of ephemeral ports: otherwise a client that connects to the port
// of a stopped server could get that port as its source port and be connected to itself.
const FIRST: u32 = 15_000;
const COUNT: u32 = 17_000;

/// How often binding is tried when another process takes the port first.
const BIND_ATTEMPTS_MAX: u32 = 20;

/// A port that nobody listens on now and that this process did not get before.
///
/// # Panics
///
/// When all are taken.
#[must_use]
pub fn free() -> u16 {
    static START: OnceLock<u32> = OnceLock::new();
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // A random start keeps concurrent test processes apart.
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
        // Bound by number: a socket bound to port 0 returns the number to the system when it
        // stops listening, a socket bound to the number keeps it.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free()))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok(Self { listener: Arc::new(listener), addr, is_open: true })
    }

    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses connections from now on, pending ones included.
    pub(crate) fn refuse(&mut self) {
        if self.is_open {
            // The socket stops listening and keeps the number.
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

    /// The socket to poll; `None` while the port is closed.
    pub(crate) fn listener(&self) -> Option<Arc<TcpListener>> {
        self.is_open.then(|| Arc::clone(&self.listener))
    }

    /// Accepts the next pending connection as a non-blocking socket.
    pub(crate) fn next(&mut self) -> Option<TcpStream> {
        while self.is_open {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    // Fails only if the peer is gone already.
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
                // Out of file descriptors: refuse connections, so that the poll loop does not spin.
                Err(_) => self.refuse(),
            }
        }
        None
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The poll loop may still hold the socket for a short time.
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
