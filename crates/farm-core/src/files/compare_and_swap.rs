//! Replaces a file that others edit, without losing their edits.
//!
//! **Invariant.** Unexpected bytes are never thrown away: either nothing is written,
//! or the caller gets the file that has them. The caller gets it open, because an
//! editor that opened it before the replacement may still write to it.

use super::attributes::{Attributes, is_not_kept};
use super::error::FileError;
use super::file::{FileLocation, needs_rewrite};
use super::folder::{Folder, Staged, is_no_exchange};
use super::hidden::HiddenName;
use super::open_file::{identity, read_bounded};
use super::write_options::WriteOptions;
use nix::errno::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

/// The outcome of replacing the expected bytes with new ones.
#[derive(Debug)]
pub(crate) enum SwapOutcome {
    /// The file has the new bytes already.
    Unchanged,
    /// Replaced; the old file has the expected bytes so far. `None` if it is the same file.
    Done(Option<Displaced>),
    /// The file did not have the expected bytes, and was not touched.
    Stale,
    /// Replaced, but somebody edited at the same time: the old file has other bytes.
    Raced(Displaced),
}

/// A file that was replaced by ours.
///
/// If it has other bytes than expected, it stays on the disk under a hidden name until it is
/// discarded, also when this is dropped: the next sweep keeps it then.
#[derive(Debug)]
pub(crate) struct Displaced {
    file: File,
    hidden: Option<HiddenName>,
}

impl Displaced {
    /// Removes it from the disk: its bytes are known elsewhere.
    pub(crate) fn discard(&mut self) {
        if let Some(hidden) = self.hidden.take() {
            hidden.remove();
        }
    }

    /// Its current bytes; `None` if there are more than `bytes_max`.
    pub(crate) fn read(&mut self, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        self.file.seek(SeekFrom::Start(0))?;
        read_bounded(&self.file, bytes_max)
    }
}

/// Replaces `expected` (`None` means no file) with `new`, links followed.
pub(crate) fn compare_and_swap(
    path: &Path,
    expected: Option<&[u8]>,
    new: &[u8],
) -> Result<SwapOutcome, FileError> {
    let location = FileLocation::of(path)?;
    location
        .folder
        .compare_and_swap(&location.name, expected, new)
        .map_err(|e| FileError::writing(path, e))
}

impl Folder {
    /// As [`compare_and_swap`], for an entry that is not a link.
    pub(crate) fn compare_and_swap(
        &self,
        name: &OsStr,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> io::Result<SwapOutcome> {
        let Some(file) = self.open_file(name)? else {
            return if expected.is_some() {
                Ok(SwapOutcome::Stale)
            } else {
                self.create(name, new)
            };
        };
        let bytes_max = expected.map_or(0, <[u8]>::len).max(new.len());
        let Some(current) = read_bounded(&file, bytes_max)? else { return Ok(SwapOutcome::Stale) };
        if current == new {
            return Ok(SwapOutcome::Unchanged);
        }
        let Some(expected) = expected else { return Ok(SwapOutcome::Stale) };
        if current != expected {
            return Ok(SwapOutcome::Stale);
        }
        let mut staged = match self.stage(new, Some(&Attributes::of(&file)?)) {
            Ok(staged) => staged,
            Err(e) if is_not_kept(&e) => {
                if !self.holds(name, expected)? {
                    return Ok(SwapOutcome::Stale);
                }
                self.rewrite_to_keep(name, new, &WriteOptions::default(), e)?;
                return Ok(SwapOutcome::Done(None));
            }
            Err(e) => return Err(e),
        };
        // The watch ignores new files. From the exchange on, it must notice what an editor still
        // writes; and if we are killed, a sweep must know what it finds.
        staged.mark_displaced(name, &[expected, new])?;
        match staged.exchange(name) {
            Ok(()) => self.check_exchanged(staged, name, expected),
            Err(Errno::ENOENT) => Ok(SwapOutcome::Stale),
            Err(e) if needs_rewrite(e) => {
                drop::<Staged<'_>>(staged);
                // No exchange is possible here, so check again as late as possible.
                if !self.holds(name, expected)? {
                    return Ok(SwapOutcome::Stale);
                }
                self.rewrite(name, new, &WriteOptions::default())?;
                Ok(SwapOutcome::Done(None))
            }
            Err(e) if is_no_exchange(e) => self.rename_over(staged, name, file, expected),
            Err(e) => Err(e.into()),
        }
    }

    /// Removes the file if it has the expected bytes; the outcome tells if others were
    /// written at the same time.
    pub(crate) fn remove_if(&self, name: &OsStr, expected: &[u8]) -> io::Result<SwapOutcome> {
        let Some(file) = self.open_file(name)? else { return Ok(SwapOutcome::Unchanged) };
        if read_bounded(&file, expected.len())?.as_deref() != Some(expected) {
            return Ok(SwapOutcome::Stale);
        }
        let staged = match self.move_aside(name, expected) {
            Ok(staged) => staged,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(SwapOutcome::Unchanged),
            Err(e) => return Err(e),
        };
        match staged.open() {
            Ok(file) => self.check_displaced(staged, file, expected),
            // It is no file, or one that we may not read.
            Err(e) => {
                if staged.entry().rename_no_replace(self.entry(name)).is_err() {
                    drop::<HiddenName>(staged.leave());
                }
                Err(e)
            }
        }
    }

    fn create(&self, name: &OsStr, new: &[u8]) -> io::Result<SwapOutcome> {
        match self.stage(new, None)?.rename_no_replace(name) {
            Ok(()) => {
                self.sync()?;
                Ok(SwapOutcome::Done(None))
            }
            Err(Errno::EEXIST) => Ok(SwapOutcome::Stale),
            Err(e) => Err(e.into()),
        }
    }

    /// Checks the file that an exchange has displaced.
    fn check_exchanged(
        &self,
        staged: Staged<'_>,
        name: &OsStr,
        expected: &[u8],
    ) -> io::Result<SwapOutcome> {
        match staged.open() {
            Ok(file) => self.check_displaced(staged, file, expected),
            // It is a directory, a link, or a file that we may not read: exchange it back.
            Err(e) => {
                if let Err(e) = staged.exchange(name) {
                    drop::<HiddenName>(staged.leave());
                    return Err(e.into());
                }
                let is_no_file = e.kind() == io::ErrorKind::InvalidInput;
                if is_no_file { Ok(SwapOutcome::Stale) } else { Err(e) }
            }
        }
    }

    /// Removes the displaced file from the disk, unless its bytes are unexpected.
    fn check_displaced(
        &self,
        staged: Staged<'_>,
        file: File,
        expected: &[u8],
    ) -> io::Result<SwapOutcome> {
        let hidden = staged.is_locked().then(|| staged.leave());
        let synced = self.sync();
        let outcome = outcome_of(Displaced { file, hidden }, expected)?;
        synced.map(|()| outcome)
    }

    /// For file systems that cannot exchange. Writers in place are noticed as usual; a
    /// file that is renamed to `name` between the check and our rename is lost.
    fn rename_over(
        &self,
        staged: Staged<'_>,
        name: &OsStr,
        old: File,
        expected: &[u8],
    ) -> io::Result<SwapOutcome> {
        let Some(now) = self.open_file(name)? else { return Ok(SwapOutcome::Stale) };
        if identity(&now)? != identity(&old)? {
            return Ok(SwapOutcome::Stale);
        }
        staged.rename_over(name).map_err(|(_, e)| e)?;
        self.sync()?;
        outcome_of(Displaced { file: old, hidden: None }, expected)
    }
}

/// The outcome, given the file that was displaced.
fn outcome_of(mut displaced: Displaced, expected: &[u8]) -> io::Result<SwapOutcome> {
    if displaced.read(expected.len())?.as_deref() != Some(expected) {
        return Ok(SwapOutcome::Raced(displaced));
    }
    displaced.discard();
    Ok(SwapOutcome::Done(Some(displaced)))
}

#[cfg(test)]
mod tests;
