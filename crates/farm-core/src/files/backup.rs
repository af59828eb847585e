//! What a file was before other bytes took its place.
//!
//! **Invariant.** What was there waits on the disk under a hidden name, itself and
//! not a copy, wherever the file system can do that: it comes back with its mode,
//! its owner and its times, and needs no room.

use super::displace::displace;
use super::error::FileError;
use super::file::{FileLocation, needs_rewrite};
use super::folder::{Folder, Staged, code, read_bounded, resemble};
use super::hidden::{DISPLACED, hidden};
use super::write_options::WriteOptions;
use nix::sys::stat::FileStat;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// How much of a file that can't be put aside is kept in memory.
const BYTES_MAX: usize = 64 << 20;

/// A file as it was. Dropped, it is forgotten.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    place: FileLocation,
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

impl Backup {
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
    /// [`FileError`]; the file is as it was before the attempt.
    pub fn put_back(&mut self) -> Result<(), FileError> {
        let outcome = self.undo().and_then(|()| self.place.folder.sync());
        outcome.map_err(|e| FileError::writing(&self.path, e))
    }

    fn undo(&mut self) -> io::Result<()> {
        let FileLocation { folder, name } = &self.place;
        match &self.kept {
            Kept::Nothing => {}
            Kept::Absent => folder.ensure_no_file(name)?,
            Kept::Aside(hidden) => folder.entry(hidden).rename(folder.entry(name))?,
            Kept::Bytes(bytes, stat) => restore(folder, name, bytes, stat)?,
        }
        self.kept = Kept::Nothing;
        Ok(())
    }
}

impl Drop for Backup {
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
    place: FileLocation,
    hidden: OsString,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<Backup, FileError> {
    let traded = Kept::trade(&place, place.folder.adopt(hidden), bytes, options);
    let kept = traded.map_err(|e| FileError::writing(path, e))?;
    let mut previous = Backup { path: path.to_owned(), place, kept };
    if let Err(e) = previous.place.folder.sync() {
        previous.put_back()?;
        return Err(FileError::writing(path, e));
    }
    Ok(previous)
}

impl Kept {
    fn trade(
        FileLocation { folder, name }: &FileLocation,
        staged: Staged<'_>,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<Self> {
        let Some(stat) = folder.stat(name)? else {
            staged.rename_over(name).map_err(|(_, e)| e)?;
            return Ok(Self::Absent);
        };
        if options.is_in_place {
            drop(staged);
            let old = bytes_of(folder, name)?;
            folder.overwrite(name, bytes, options)?;
            return Ok(Self::Bytes(old, stat));
        }
        let aside = hidden(DISPLACED);
        match displace(staged.entry(), folder.entry(name), folder.entry(&aside)) {
            Ok(true) => {
                staged.into_name();
                return Ok(Self::Aside(aside));
            }
            Ok(false) => {}
            Err(e) if code(&e).is_some_and(needs_rewrite) => {}
            Err(e) => return Err(e),
        }
        let old = bytes_of(folder, name)?;
        folder.install(staged, name, bytes, options)?;
        Ok(Self::Bytes(old, stat))
    }
}

fn bytes_of(folder: &Folder, name: &OsStr) -> io::Result<Vec<u8>> {
    let file = folder.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
    read_bounded(&file, BYTES_MAX)?.ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

/// Gives the file its bytes, mode and owner back.
fn restore(folder: &Folder, name: &OsStr, bytes: &[u8], stat: &FileStat) -> io::Result<()> {
    let staged = folder.stage(bytes, Some(stat))?;
    match staged.rename_over(name) {
        Ok(()) => Ok(()),
        Err((staged, e)) if needs_rewrite(e) => {
            drop(staged);
            folder.overwrite(name, bytes, &WriteOptions::default())?;
            let file = folder.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
            resemble(&file, stat)
        }
        Err((_, e)) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests;
