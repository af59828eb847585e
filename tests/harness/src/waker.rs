//! Waiting in `poll`: how another thread wakes it, and how a deadline becomes its timeout.

use nix::poll::PollTimeout;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A socket pair: `wake` writes to one end, the event loop polls the other.
#[derive(Debug)]
pub(crate) struct Waker {
    writer: UnixStream,
    reader: UnixStream,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let (writer, reader) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        reader.set_nonblocking(true)?;
        Ok(Self { writer, reader })
    }

    pub(crate) fn wake(&self) {
        // A full buffer means that a wake-up is pending already.
        drop((&self.writer).write(&[0]));
    }

    /// Discards pending wake-ups. Call it before looking at the shared state, so that a later
    /// change wakes `poll` again.
    pub(crate) fn drain(&self) {
        let mut scrap = [0; 64];
        while matches!((&self.reader).read(&mut scrap), Ok(count) if count == scrap.len()) {}
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The time until a deadline, rounded up: rounded down, `poll` would return early and the
/// loop would spin until the deadline.
pub(crate) fn poll_timeout(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now());
    let rounded = if left.is_zero() { left } else { left + Duration::from_millis(1) };
    PollTimeout::try_from(rounded).unwrap_or(PollTimeout::MAX)
}
