//! How other threads interrupt the relay's `poll`.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Wakes the relay's thread; a clone is cheap.
#[derive(Debug, Clone)]
pub(super) struct Waker(Arc<UnixStream>);

impl Waker {
    /// The waker, and the socket that becomes readable when it is used. Neither blocks.
    pub(super) fn pair() -> std::io::Result<(Self, UnixStream)> {
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        Ok((Self(Arc::new(waker)), woken))
    }

    pub(super) fn wake(&self) {
        // If the socket's buffer is full, a wake-up is already on its way.
        drop((&*self.0).write(&[1]));
    }
}
