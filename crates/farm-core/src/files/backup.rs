//! The old file, kept when new bytes replace it.
//!
//! **Invariant.** Where the file system allows it, the file itself, not a copy, stays
//! on the disk under a hidden name: it comes back with its mode, owner and times, and
//! needs no room.

use super::attributes::{Attributes, is_not_kept};
use super::displace::displace;
use super::error::FileError;
use super::file::{FileLocation, needs_rewrite};
use super::folder::{Folder, Staged, errno_of};
use super::hidden::{DISPLACED, HiddenName};
use super::open_file::read_bounded;
use super::write_options::WriteOptions;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The largest file that is kept in memory, if it cannot be kept on the disk.
const BYTES_MAX: usize = 64 << 20;

/// A file as it was. Dropping it deletes it.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    location: FileLocation,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    /// The file has been put back.
    Nothing,
    /// There was no file.
    Absent,
    /// The file has this name in the same directory.
    Aside(HiddenName),
    /// The same file has new bytes; these are the old ones.
    Bytes(Vec<u8>, Box<Attributes>),
}

impl Backup {
    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the old file back, or removes the new one if there was none.
    ///
    /// After a success this does nothing; after a failure it can be tried again.
    ///
    /// # Errors
    ///
    /// [`FileError`]; the file is as it was before the attempt.
    pub fn put_back(&mut self) -> Result<(), FileError> {
        let outcome = self.undo().and_then(|()| self.location.folder.sync());
        outcome.map_err(|e| FileError::writing(&self.path, e))
    }

    fn undo(&mut self) -> io::Result<()> {
        let FileLocation { folder, name } = &self.location;
        match &self.kept {
            Kept::Nothing => {}
            Kept::Absent => folder.ensure_no_file(name)?,
            Kept::Aside(hidden) => folder.entry(hidden).rename(folder.entry(name))?,
            Kept::Bytes(bytes, attributes) => restore_bytes(folder, name, bytes, attributes)?,
        }
        self.kept = Kept::Nothing;
        Ok(())
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        if let Kept::Aside(hidden) = &self.kept {
            // After a failure it stays under its hidden name until the next sweep.
            drop(self.location.folder.remove_file(hidden));
        }
    }
}

/// Replaces a file with a staged one, and keeps the old file.
pub(super) fn install(
    path: &Path,
    location: FileLocation,
    hidden: HiddenName,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<Backup, FileError> {
    let kept = Kept::replace(&location, location.folder.adopt(hidden), bytes, options)
        .map_err(|e| FileError::writing(path, e))?;
    let mut backup = Backup { path: path.to_owned(), location, kept };
    if let Err(e) = backup.location.folder.sync() {
        backup.put_back()?;
        return Err(FileError::writing(path, e));
    }
    Ok(backup)
}

impl Kept {
    fn replace(
        FileLocation { folder, name }: &FileLocation,
        staged: Staged<'_>,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<Self> {
        if folder.stat(name)?.is_none() {
            staged.rename_over(name).map_err(|(_, e)| e)?;
            return Ok(Self::Absent);
        }
        if options.is_in_place {
            drop(staged);
            let old = Self::bytes_of(folder, name)?;
            folder.overwrite(name, bytes, options)?;
            return Ok(old);
        }
        let aside = staged.displaced_name();
        match displace(staged.entry(), folder.entry(name), folder.entry(&aside)) {
            Ok(true) => return Ok(Self::Aside(staged.into_name().renamed(DISPLACED))),
            Ok(false) => {}
            Err(e) if errno_of(&e).is_some_and(needs_rewrite) => {}
            Err(e) => return Err(e),
        }
        let old = Self::bytes_of(folder, name)?;
        folder.install(staged, name, bytes, options)?;
        Ok(old)
    }

    fn bytes_of(folder: &Folder, name: &OsStr) -> io::Result<Self> {
        let file = folder.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
        let bytes = read_bounded(&file, BYTES_MAX)?.ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(Self::Bytes(bytes, Box::new(Attributes::of(&file)?)))
    }
}

/// Writes the old bytes and attributes to the file.
fn restore_bytes(
    folder: &Folder,
    name: &OsStr,
    bytes: &[u8],
    attributes: &Attributes,
) -> io::Result<()> {
    match folder.stage(bytes, Some(attributes)) {
        Ok(staged) => match staged.rename_over(name) {
            Ok(()) => return Ok(()),
            Err((_, e)) if needs_rewrite(e) => {}
            Err((_, e)) => return Err(e.into()),
        },
        Err(e) if is_not_kept(&e) => {}
        Err(e) => return Err(e),
    }
    folder.overwrite(name, bytes, &WriteOptions::default())?;
    let file = folder.open_file(name)?.ok_or(io::ErrorKind::NotFound)?;
    if attributes.are_kept_by(&file)? { Ok(()) } else { attributes.restore_on(&file) }
}

#[cfg(test)]
mod tests;
