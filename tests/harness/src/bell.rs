//! Waiting in `poll`: what wakes it from outside, and for how long it waits.

use nix::poll::PollTimeout;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A socket pair: one end is rung, the other one is polled.
#[derive(Debug)]
pub(crate) struct Bell {
    button: UnixStream,
    gong: UnixStream,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (button, gong) = UnixStream::pair()?;
        button.set_nonblocking(true)?;
        gong.set_nonblocking(true)?;
        Ok(Self { button, gong })
    }

    pub(crate) fn ring(&self) {
        // Full means that it rings already.
        drop((&self.button).write(&[0]));
    }

    /// Silences the bell; call it before looking at what it was rung for.
    pub(crate) fn silence(&self) {
        let mut scrap = [0; 64];
        while matches!((&self.gong).read(&mut scrap), Ok(count) if count == scrap.len()) {}
    }

    pub(crate) fn gong(&self) -> BorrowedFd<'_> {
        self.gong.as_fd()
    }
}

/// The time until a deadline, rounded up: waking too early would mean to spin
/// until it has come.
pub(crate) fn poll_timeout(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now());
    let rounded = if left.is_zero() { left } else { left + Duration::from_millis(1) };
    PollTimeout::try_from(rounded).unwrap_or(PollTimeout::MAX)
}
