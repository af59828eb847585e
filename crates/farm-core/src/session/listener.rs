//! The port on loopback to which the client library connects.
//!
//! **Invariant.** One connection at a time is checked. If the check itself fails, the
//! connection waits: if it were closed, the client library would retry at once, and
//! forever.

use super::peer;
use super::stream::Stream;
use crate::engine::Retry;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

const BACKOFF_LEAST: Duration = Duration::from_millis(100);
const BACKOFF_MOST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct RelayListener {
    listener: TcpListener,
    /// The accepted connection that could not be checked yet.
    unchecked: Option<(TcpStream, SocketAddr)>,
    /// When to accept again, after the system lacked a resource.
    retry: Retry,
    is_own: fn(&TcpStream) -> std::io::Result<bool>,
}

impl RelayListener {
    pub(super) fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let retry = Retry::new(BACKOFF_LEAST, BACKOFF_MOST);
        Ok(Self { listener, unchecked: None, retry, is_own: peer::is_own })
    }

    pub(super) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The socket to poll, unless a retry is pending.
    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.retry.deadline().is_none().then(|| self.listener.as_fd())
    }

    /// When to call [`Self::accept`] even if the socket is not ready.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// The connection that has arrived, if it was opened by this process.
    pub(super) fn accept(&mut self, now: Instant) -> Option<Stream> {
        self.retry.take(now);
        if self.retry.deadline().is_some() {
            return None;
        }
        let (stream, peer) = match self.unchecked.take() {
            Some(unchecked) => unchecked,
            None => match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
                        self.back_off("cannot accept our own client", &error, now);
                    }
                    return None;
                }
            },
        };
        match (self.is_own)(&stream) {
            Ok(true) => match Stream::new(stream) {
                Ok(stream) => return Some(stream),
                Err(error) => self.back_off("cannot serve our own client", &error, now),
            },
            Ok(false) => log::warn!(peer:%; "refused a connection from another process"),
            Err(error) => {
                self.unchecked = Some((stream, peer));
                self.back_off("cannot tell which process opened a connection", &error, now);
            }
        }
        None
    }

    fn back_off(&mut self, what: &str, error: &std::io::Error, now: Instant) {
        self.retry.failed(now);
        let in_ms = self.retry.deadline().map_or(0, |at| (at - now).as_millis());
        log::error!(error:%, in_ms; "{what}, retrying");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Error, Read, Write};

    fn check_fails(_: &TcpStream) -> std::io::Result<bool> {
        Err(Error::from(ErrorKind::NotFound))
    }

    #[test]
    fn a_connection_that_cannot_be_checked_waits_and_is_not_closed() {
        let mut listener = RelayListener::open().unwrap();
        listener.is_own = check_fails;
        let mut ours = TcpStream::connect(listener.address().unwrap()).unwrap();
        let mut now = Instant::now();
        for round in 0..10 {
            assert!(listener.accept(now).is_none());
            assert!(listener.socket().is_none() && listener.unchecked.is_some(), "round {round}");
            let delay = listener.deadline().unwrap().duration_since(now);
            assert!(delay >= BACKOFF_LEAST / 2 && delay <= BACKOFF_MOST, "{delay:?}");
            assert!(listener.accept(now + delay / 2).is_none());
            assert_eq!(listener.deadline(), Some(now + delay), "it was called too early");
            now += delay;
        }
        assert!(listener.deadline().unwrap().duration_since(now) <= BACKOFF_MOST);
        listener.is_own = peer::is_own;
        let mut stream = listener.accept(now).expect("it is ours");
        ours.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.queue(&mut b"hello".to_vec());
        stream.send().unwrap();
        assert_eq!(ours.read(&mut [0; 9]).unwrap(), 5);
        ours.write_all(b"!").unwrap();
        assert!(listener.socket().is_some() && listener.deadline().is_none());
    }

    #[test]
    fn no_connection_is_no_error() {
        let mut listener = RelayListener::open().unwrap();
        assert!(listener.accept(Instant::now()).is_none());
        assert!(listener.socket().is_some() && listener.deadline().is_none());
    }
}
