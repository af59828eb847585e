//! Replacing a file that others edit, without losing what they save meanwhile.
//!
//! **Invariant.** Bytes that were not expected are never thrown away: either
//! nothing was written, or the file they are in is handed to the caller. It is
//! handed over still open, because an editor that opened it before we put
//! another in its place may go on writing there.

use super::error::FileError;
use super::file::{FileLocation, needs_rewrite};
use super::folder::{Folder, Staged, identity, is_no_exchange, read_bounded};
use super::write_options::WriteOptions;
use nix::errno::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::Path;

/// What came of the attempt to put new bytes in the place of the expected ones.
#[derive(Debug)]
pub(crate) enum SwapOutcome {
    /// The file says already what it should.
    Unchanged,
    /// Done, and the file that went is as expected so far; `None` if it is the same file.
    Done(Option<Displaced>),
    /// The file was not as expected; it was not touched.
    Stale,
    /// Done, but somebody was editing in this very moment: what went is not what was expected.
    Raced(Displaced),
}

/// A file that had the name before ours did.
#[derive(Debug)]
pub(crate) struct Displaced {
    file: File,
}

impl Displaced {
    /// What it says now; `None` if that is more than `bytes_max` bytes.
    pub(crate) fn read(&mut self, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
        self.file.seek(SeekFrom::Start(0))?;
        read_bounded(&self.file, bytes_max)
    }
}

/// Puts `new` in the place of `expected` (`None`: of no file), links followed.
pub(crate) fn compare_and_swap(
    path: &Path,
    expected: Option<&[u8]>,
    new: &[u8],
) -> Result<SwapOutcome, FileError> {
    let place = FileLocation::of(path)?;
    place
        .folder
        .compare_and_swap(&place.name, expected, new)
        .map_err(|e| FileError::writing(path, e))
}

impl Folder {
    /// As [`compare_and_swap`], for an entry that is no link.
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
        let like = nix::sys::stat::fstat(&file)?;
        let staged = self.stage(new, Some(&like))?;
        match staged.exchange(name) {
            Ok(()) => self.look_at(staged, name, expected),
            Err(Errno::ENOENT) => Ok(SwapOutcome::Stale),
            Err(e) if needs_rewrite(e) => {
                drop::<Staged<'_>>(staged);
                // Nothing can be exchanged here: look again, as late as we can.
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

    /// Takes the file away if it says what is expected, and tells if it did not in the end.
    pub(crate) fn remove_if(&self, name: &OsStr, expected: &[u8]) -> io::Result<SwapOutcome> {
        let Some(file) = self.open_file(name)? else { return Ok(SwapOutcome::Unchanged) };
        if read_bounded(&file, expected.len())?.as_deref() != Some(expected) {
            return Ok(SwapOutcome::Stale);
        }
        let staged = match self.unname(name) {
            Ok(staged) => staged,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(SwapOutcome::Unchanged),
            Err(e) => return Err(e),
        };
        let file = staged.open()?;
        drop::<Staged<'_>>(staged);
        self.sync()?;
        told(file, expected)
    }

    fn create(&self, name: &OsStr, new: &[u8]) -> io::Result<SwapOutcome> {
        match self.stage(new, None)?.settle(name) {
            Ok(()) => {
                self.sync()?;
                Ok(SwapOutcome::Done(None))
            }
            Err(Errno::EEXIST) => Ok(SwapOutcome::Stale),
            Err(e) => Err(e.into()),
        }
    }

    /// After an exchange: what is it that went?
    fn look_at(
        &self,
        mut staged: Staged<'_>,
        name: &OsStr,
        expected: &[u8],
    ) -> io::Result<SwapOutcome> {
        // The watch ignores files on their way in. From here on, what an editor
        // still writes must be noticed, so the name changes before we look.
        let opened = staged.mark_displaced().map_err(io::Error::from).and_then(|()| staged.open());
        let file = match opened {
            Ok(file) => file,
            Err(e) => {
                // A directory, a link, or a file that is closed to us: it was there
                // first, and it gets its place back.
                staged.exchange(name)?;
                return if e.kind() == io::ErrorKind::InvalidInput {
                    Ok(SwapOutcome::Stale)
                } else {
                    Err(e)
                };
            }
        };
        drop::<Staged<'_>>(staged);
        self.sync()?;
        told(file, expected)
    }

    /// For file systems that cannot exchange. Writers in place are noticed as
    /// ever; a file renamed into place between the look and our rename is not.
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
        told(old, expected)
    }
}

/// What it means that this file went.
fn told(file: File, expected: &[u8]) -> io::Result<SwapOutcome> {
    let mut displaced = Displaced { file };
    let is_expected = displaced.read(expected.len())?.as_deref() == Some(expected);
    Ok(if is_expected { SwapOutcome::Done(Some(displaced)) } else { SwapOutcome::Raced(displaced) })
}

#[cfg(test)]
mod tests;
