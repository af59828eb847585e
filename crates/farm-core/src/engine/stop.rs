//! Whether this process has been asked to stop, for work that takes long.
//!
//! The loop learns of a signal from its inbox, where it does not look while it writes ten
//! thousand files. Such work asks here, between two of them.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Work that ends within this time after the signal is not cut short.
const GRACE: Duration = Duration::from_millis(500);

// A lock and not a message: the message would wait until the work is done. Nobody holds it
// for longer than it takes to copy a time.
static ASKED_AT: Mutex<Option<Instant>> = Mutex::new(None);

fn asked_at() -> MutexGuard<'static, Option<Instant>> {
    ASKED_AT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A signal has asked for a stop.
pub fn ask_for_stop() {
    asked_at().get_or_insert_with(Instant::now);
}

/// The signal was meant for somebody else.
pub fn forget_stop() {
    *asked_at() = None;
}

/// Whether a stop was asked for half a second ago or earlier: then long work ends before it is
/// done.
#[must_use]
pub fn is_stop_overdue() -> bool {
    asked_at().is_some_and(|at| at.elapsed() >= GRACE)
}

/// Fails if [`is_stop_overdue`] holds, with an error for which [`is_stop`] holds.
///
/// # Errors
///
/// [`io::ErrorKind::Interrupted`].
pub fn check_stop() -> io::Result<()> {
    match is_stop_overdue() {
        true => Err(io::Error::new(io::ErrorKind::Interrupted, "told to stop")),
        false => Ok(()),
    }
}

/// Whether an error is that of [`check_stop`].
#[must_use]
pub fn is_stop(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted && error.raw_os_error().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_system_call_is_no_stop() {
        assert!(!is_stop(&io::Error::from_raw_os_error(nix::errno::Errno::EINTR as i32)));
        // Other tests of this process would end early if a stop were asked for here.
        assert!(!is_stop_overdue() && check_stop().is_ok());
    }
}
