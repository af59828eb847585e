//! Replaces a file with another one, and keeps the old one under a third name.
//!
//! **Invariant.** After a failure every file has the name that it had before.

use super::folder::{Entry, errno_of, is_no_exchange};
use super::kind::Kind;
use std::io;

/// Renames `new` to `old`, and the file at `old` to `aside`.
///
/// At every moment there is a file at `old`. Returns false, and does nothing, if the
/// file system has neither exchange nor hard links.
pub(super) fn displace(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<bool> {
    match new.exchange(old) {
        Ok(()) => keep_exchanged(new, old, aside).map(|()| true),
        Err(e) if errno_of(&e).is_some_and(is_no_exchange) => link_aside(new, old, aside),
        Err(e) => Err(e),
    }
}

/// After an exchange: renames the old file to `aside`, or exchanges back if it is not a
/// regular file.
pub(super) fn keep_exchanged(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<()> {
    let moved = new.folder.kind(new.name).and_then(|kind| match kind {
        Some(Kind::File) => new.rename(aside),
        Some(Kind::Folder | Kind::Other) | None => Err(io::ErrorKind::InvalidInput.into()),
    });
    if moved.is_err() {
        new.exchange(old)?;
    }
    moved
}

/// For file systems that cannot exchange.
pub(super) fn link_aside(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<bool> {
    if old.link(aside).is_err() {
        // There are no hard links, or we may not link to a file of another user.
        return Ok(false);
    }
    let moved = new.rename(old);
    if moved.is_err() {
        aside.folder.remove_file(aside.name)?;
    }
    moved.map(|()| true)
}
