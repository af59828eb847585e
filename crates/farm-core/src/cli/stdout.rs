//! The answer on stdout.
//!
//! **Invariant.** A pipe or a file gets every byte as it is. A terminal gets nothing that it
//! would act on.

use crate::engine::printable_lines;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// The bytes of whole lines as stdout is to get them.
#[must_use]
pub fn for_stdout(bytes: &[u8]) -> Cow<'_, [u8]> {
    if io::stdout().is_terminal() { printable_lines(bytes) } else { Cow::Borrowed(bytes) }
}

/// Fails if stdout is a pipe whose reader has closed it: who has nothing to write for a long time
/// would not find out otherwise.
///
/// # Errors
///
/// `BrokenPipe`, as from a write.
pub fn check_reader() -> io::Result<()> {
    let stdout = io::stdout();
    // Errors are reported whether asked for or not: poll(2).
    let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let found = poll(&mut watched, PollTimeout::ZERO)?;
    let is_closed = watched[0].revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
    if found > 0 && is_closed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
}
