//! A file takes the place of another one, which is kept under a third name.
//!
//! **Invariant.** After a failure every file has the name that it had before.

use super::folder::{Entry, Kind, code, is_no_exchange};
use std::io;

/// Puts `new` in the place of `old`, which becomes `aside`.
///
/// There is a file at `old` at every moment. Where the file system can do neither an
/// exchange nor a second name, that can't be had: then it is `false`, and nothing
/// was done.
pub(super) fn displace(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<bool> {
    match new.exchange(old) {
        Ok(()) => keep(new, old, aside).map(|()| true),
        Err(e) if code(&e).is_some_and(is_no_exchange) => link_aside(new, old, aside),
        Err(e) => Err(e),
    }
}

/// After an exchange: what it brought is put aside, or gets its place back if it is
/// no file.
pub(super) fn keep(new: Entry<'_>, old: Entry<'_>, aside: Entry<'_>) -> io::Result<()> {
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
        // No links either, or not to a file of somebody else.
        return Ok(false);
    }
    let moved = new.rename(old);
    if moved.is_err() {
        aside.folder.remove_file(aside.name)?;
    }
    moved.map(|()| true)
}
