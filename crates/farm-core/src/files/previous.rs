//! What a file was before other bytes took its place.
//!
//! **Invariant.** What was there waits on the disk under a hidden name, itself and
//! not a copy, wherever the file system can do that: it comes back with its mode,
//! its owner and its times, and needs no room.

use super::file::{Place, StoreError, needs_rewrite};
use super::folder::{Folder, Kind, Staged, read_bounded, resemble};
use super::manner::Manner;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// As much of a file that can't be put aside is kept in memory.
const BYTES_MAX: usize = 64 << 20;

/// A file as it was. Dropped, it is forgotten.
#[derive(Debug)]
pub struct Previous {
    path: PathBuf,
    place: Place,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    /// It has been put back.
    Nothing,
    /// There was no file.
    Absent,
    /// It has this name in the same directory.
    Aside(OsString),
    /// It is the same file as now, with other bytes.
    Bytes(Vec<u8>, FileStat),
}

impl Previous {
    /// The file that it was.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it back as it was, and removes the file if there was none.
    ///
    /// After a success there is nothing left to put back; after a failure it can be
    /// tried again.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; the file is as it was before the attempt.
    pub fn put_back(&mut self) -> Result<(), StoreError> {
        let outcome = self.undo().and_then(|()| self.place.folder.sync());
        outcome.map_err(|e| StoreError::io(&self.path, e))
    }

    fn undo(&mut self) -> io::Result<()> {
        let Place { folder, name } = &self.place;
        match &self.kept {
            Kept::Nothing => {}
            Kept::Absent => match folder.remove_file(name) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                Ok(()) | Err(_) => {}
            },
            Kept::Aside(hidden) => folder.rename(hidden, folder, name)?,
            Kept::Bytes(bytes, stat) => folder.restore(name, bytes, stat)?,
        }
        self.kept = Kept::Nothing;
        Ok(())
    }
}

impl Drop for Previous {
    fn drop(&mut self) {
        if let Kept::Aside(hidden) = &self.kept {
            // Nobody to tell, and the name is hidden.
            drop(self.place.folder.remove_file(hidden));
        }
    }
}

/// Puts a staged file in the place of what is there, and keeps that.
pub(super) fn install(
    path: &Path,
    place: Place,
    hidden: OsString,
    bytes: &[u8],
    manner: &Manner,
) -> Result<Previous, StoreError> {
    let Place { folder, name } = &place;
    let traded = folder.trade(folder.adopt(hidden), name, bytes, manner);
    let kept = traded.map_err(|e| StoreError::io(path, e))?;
    let mut previous = Previous { path: path.to_owned(), place, kept };
    if let Err(e) = previous.place.folder.sync() {
        previous.put_back()?;
        return Err(StoreError::io(path, e));
    }
    Ok(previous)
}

impl Folder {
    fn trade(
        &self,
        staged: Staged<'_>,
        name: &OsStr,
        bytes: &[u8],
        manner: &Manner,
    ) -> io::Result<Kept> {
        let Some(stat) = self.stat(name)? else {
            staged.rename_over(name).map_err(|(_, e)| e)?;
            return Ok(Kept::Absent);
        };
        if manner.is_in_place {
            drop(staged);
            let old = self.bytes_of(name)?;
            self.overwrite(name, bytes, manner)?;
            return Ok(Kept::Bytes(old, stat));
        }
        match staged.exchange(name) {
            Ok(()) => keep(staged, name),
            Err(e) if is_no_exchange(e) => self.link_aside(staged, name, bytes, manner, stat),
            Err(e) if needs_rewrite(e) => {
                let old = self.bytes_of(name)?;
                self.install(staged, name, bytes, manner)?;
                Ok(Kept::Bytes(old, stat))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// For file systems that cannot exchange.
    fn link_aside(
        &self,
        staged: Staged<'_>,
        name: &OsStr,
        bytes: &[u8],
        manner: &Manner,
        stat: FileStat,
    ) -> io::Result<Kept> {
        let kept = match self.link(name) {
            Ok(aside) => Kept::Aside(aside.into_name()),
            // No links either, or not to a file of somebody else.
            Err(_) => Kept::Bytes(self.bytes_of(name)?, stat),
        };
        match self.install(staged, name, bytes, manner) {
            Ok(()) => Ok(kept),
            Err(e) => {
                if let Kept::Aside(hidden) = kept {
                    drop(self.adopt(hidden));
                }
                Err(e)
            }
        }
    }

    fn bytes_of(&self, name: &OsStr) -> io::Result<Vec<u8>> {
        let file = self.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
        read_bounded(&file, BYTES_MAX)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
    }

    /// Gives the file its bytes, mode and owner back.
    fn restore(&self, name: &OsStr, bytes: &[u8], stat: &FileStat) -> io::Result<()> {
        let staged = self.stage(bytes, Some(stat))?;
        match staged.rename_over(name) {
            Ok(()) => Ok(()),
            Err((staged, e)) if needs_rewrite(e) => {
                drop(staged);
                self.overwrite(name, bytes, &Manner::default())?;
                let file = self.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
                resemble(&file, stat)
            }
            Err((_, e)) => Err(e.into()),
        }
    }
}

/// After an exchange: what it brought is put aside, or gets its place back if it is
/// no file.
fn keep(mut traded: Staged<'_>, name: &OsStr) -> io::Result<Kept> {
    if traded.kind()? == Some(Kind::File) && traded.mark_displaced().is_ok() {
        return Ok(Kept::Aside(traded.into_name()));
    }
    traded.exchange(name)?;
    Err(io::ErrorKind::InvalidInput.into())
}

const fn is_no_exchange(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests;
