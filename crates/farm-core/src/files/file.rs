//! One file: read with a bound, replaced as a whole.
//!
//! **Invariant.** A reader of the path finds all of the old bytes or all of the new
//! ones. A failure leaves the old ones, and no other file.

use super::attributes::is_not_kept;
use super::error::{Fault, FileError, is_permission};
use super::folder::{Folder, Staged};
use super::kind::{Kind, kind_of};
use super::open_file::{identity, is_equal, read_bounded};
use super::write_options::WriteOptions;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The result of [`replace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The file has new bytes.
    Written,
    /// The file had these bytes already.
    Unchanged,
}

/// Reads a regular file of at most `bytes_max` bytes.
///
/// Never blocks: a fifo, a socket or a device is refused without being opened.
///
/// # Errors
///
/// [`FileError`], which tells a missing file from one that cannot be read.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let read = || {
        let (folder, name) = Folder::around(path)?;
        let file = folder.open_file(&name)?.ok_or(io::ErrorKind::NotFound)?;
        read_bounded(&file, bytes_max)
    };
    let bytes = read().map_err(|e| FileError::reading(path, e))?;
    bytes.ok_or_else(|| FileError::reading(path, Fault::TooLarge { bytes_max }))
}

/// Replaces the contents of a file with `bytes`, or creates it.
///
/// A file with equal bytes is not touched. An existing file keeps its mode, owner, access
/// list and extended attributes; a new one follows the umask. A link stays, and its target
/// is replaced or created. Where no other file can have the name (a mount point) or the
/// attributes, the same file is rewritten, with a warning.
///
/// # Errors
///
/// [`FileError`]; the old contents are intact, and no other file is left behind.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<Replaced, FileError> {
    replace_as(path, bytes, &WriteOptions::default())
}

/// As [`replace`], with the options of the caller.
///
/// A file with equal bytes gets the mode and owner, and is [`Replaced::Unchanged`].
///
/// # Errors
///
/// [`FileError`]; the old contents are intact and no other file is left behind.
pub fn replace_as(
    path: &Path,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<Replaced, FileError> {
    let location = FileLocation::of(path)?;
    let replaced = location.folder.replace_as(&location.name, bytes, options);
    let replaced = replaced.map_err(|e| FileError::writing(path, e))?;
    location.require_at(path)?;
    Ok(replaced)
}

/// The file that a path leads to, and its open directory.
#[derive(Debug)]
pub(crate) struct FileLocation {
    pub(crate) folder: Folder,
    pub(crate) name: OsString,
}

impl FileLocation {
    pub(crate) fn of(path: &Path) -> Result<Self, FileError> {
        let find = || {
            let (folder, name) = Folder::around(path)?;
            Ok(Self { folder: folder.reopen()?, name })
        };
        find().map_err(|e: io::Error| FileError::writing(path, e))
    }

    /// Fails unless the path still leads here: a directory on the way may have been renamed
    /// or mounted over, or a link may have another target.
    pub(super) fn require_at(&self, path: &Path) -> Result<(), FileError> {
        let now = Self::of(path)?;
        if now.name == self.name {
            self.folder.require_same(path, &now.folder)
        } else {
            Err(FileError::writing(path, Fault::Moved))
        }
    }
}

impl Folder {
    /// Fails unless the path still leads to this directory.
    pub(super) fn require_folder_at(&self, path: &Path) -> Result<(), FileError> {
        let now = Self::open(path).map_err(|e| FileError::writing(path, e))?;
        self.require_same(path, &now)
    }

    fn require_same(&self, path: &Path, other: &Self) -> Result<(), FileError> {
        let identities = identity(self).and_then(|own| Ok((own, identity(other)?)));
        match identities.map_err(|e| FileError::writing(path, e))? {
            (own, other) if own == other => Ok(()),
            _ => Err(FileError::writing(path, Fault::Moved)),
        }
    }

    /// As [`replace_as`], for an entry that is not a link.
    pub(super) fn replace_as(
        &self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<Replaced> {
        let replaced = self.put(name, self.stat(name)?.as_ref(), bytes, options)?;
        if replaced == Replaced::Written {
            self.sync()?;
        }
        Ok(replaced)
    }

    /// As [`Folder::replace_as`], but the name is durable only after [`Folder::sync`].
    pub(super) fn put(
        &self,
        name: &OsStr,
        old: Option<&FileStat>,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<Replaced> {
        if self.adjust_if_equal(name, old, bytes, options)? {
            return Ok(Replaced::Unchanged);
        }
        if options.is_in_place && old.is_some() {
            self.overwrite(name, bytes, options)?;
        } else {
            let like = if old.is_some() { self.attributes(name)? } else { None };
            match self.stage_as(bytes, like.as_ref(), options) {
                Ok(staged) => self.install(staged, name, bytes, options)?,
                Err(e) if is_not_kept(&e) => self.rewrite_to_keep(name, bytes, options, e)?,
                Err(e) => return Err(e),
            }
        }
        Ok(Replaced::Written)
    }

    /// Stages a file in `into` that is to become `name`; returns also whether it can. If
    /// not, the file at `name` has to be rewritten, and the staged one is only a copy.
    pub(super) fn stage_into<'a>(
        &self,
        into: &'a Self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<(Staged<'a>, bool)> {
        let (staged, not_kept) = self.stage_copy(into, name, bytes, options)?;
        let can_replace = not_kept.is_none() && !options.is_in_place;
        if let Some(e) = not_kept {
            self.require_rewritable(name, e)?;
        }
        Ok((staged, can_replace))
    }

    /// Stages a file in `into` like the one at `name`. If it cannot have the owner or the
    /// attributes, it is for us alone, and the error says why.
    pub(super) fn stage_copy<'a>(
        &self,
        into: &'a Self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<(Staged<'a>, Option<io::Error>)> {
        let like = self.attributes(name)?;
        match (into.stage_as(bytes, like.as_ref(), options), &like) {
            (Err(e), Some(like)) if is_not_kept(&e) => {
                let private = WriteOptions::private(&like.stat);
                Ok((into.stage_as(bytes, None, &private)?, Some(e)))
            }
            (staged, _) => Ok((staged?, None)),
        }
    }

    fn require_rewritable(&self, name: &OsStr, not_kept: io::Error) -> io::Result<()> {
        match self.open_to_rewrite(name) {
            Err(e) if is_permission(&e) => Err(not_kept),
            opened => opened.map(drop),
        }
    }

    /// As [`Folder::overwrite`], with a warning, for a file whose attributes no other file
    /// can have.
    pub(super) fn rewrite_to_keep(
        &self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
        not_kept: io::Error,
    ) -> io::Result<()> {
        self.require_rewritable(name, not_kept)?;
        self.warn_of_attributes(name);
        self.overwrite(name, bytes, options)
    }

    /// Logs once why a file is rewritten.
    pub(super) fn warn_of_attributes(&self, name: &OsStr) {
        static IS_LOGGED: AtomicBool = AtomicBool::new(false);
        if !IS_LOGGED.swap(true, Ordering::Relaxed) {
            let path = self.path_of(name);
            log::warn!(
                file:% = path.display();
                "a new file cannot have its owner, group or attributes, rewriting it in place"
            );
        }
    }

    /// Sets mode and owner if the file has these bytes already; returns whether it has.
    pub(super) fn adjust_if_equal(
        &self,
        name: &OsStr,
        old: Option<&FileStat>,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<bool> {
        let Some(stat) = old else { return Ok(false) };
        if kind_of(stat) != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if !self.holds(name, bytes)? {
            return Ok(false);
        }
        if !options.is_met_by(stat)
            && let Some(file) = self.open_file(name)?
        {
            options.apply(&file)?;
        }
        Ok(true)
    }

    /// Replaces `name` with a staged file.
    pub(super) fn install(
        &self,
        staged: Staged<'_>,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<()> {
        match staged.rename_over(name) {
            Ok(()) => Ok(()),
            Err((staged, e)) if needs_rewrite(e) => {
                drop::<Staged<'_>>(staged);
                self.rewrite(name, bytes, options)
            }
            Err((_, e)) => Err(e.into()),
        }
    }

    /// Rewrites the same file, and sets its mode and owner.
    pub(super) fn overwrite(
        &self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<()> {
        if let Some(file) = self.open_to_rewrite(name)? {
            options.apply(&file)?;
        }
        self.write_over(name, bytes)
    }

    /// Whether a file has exactly these bytes; false if we may not read it.
    pub(crate) fn holds(&self, name: &OsStr, bytes: &[u8]) -> io::Result<bool> {
        let file = match self.open_file(name) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(false),
            // A file that we may not read can still be replaced.
            Err(e) if is_permission(&e) => return Ok(false),
            Err(e) => return Err(e),
        };
        is_equal(&file, bytes)
    }

    /// As [`Folder::overwrite`], with a warning, for a name that no other file can have.
    pub(super) fn rewrite(
        &self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<()> {
        static IS_LOGGED: AtomicBool = AtomicBool::new(false);
        if !IS_LOGGED.swap(true, Ordering::Relaxed) {
            let path = self.path_of(name);
            log::warn!(file:% = path.display(); "cannot be replaced, rewriting it in place");
        }
        self.overwrite(name, bytes, options)
    }

    /// Not atomic.
    fn write_over(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let file = self.open_to_rewrite(name)?.ok_or(io::ErrorKind::NotFound)?;
        let old_length = file.metadata()?.len();
        let shared = bytes.len().min(usize::try_from(old_length).unwrap_or(usize::MAX));
        // The part that needs more room comes first: if the disk is full, the old bytes
        // are still there.
        if let Err(e) = file.write_all_at(&bytes[shared..], old_length) {
            file.set_len(old_length)?;
            return Err(e);
        }
        file.write_all_at(&bytes[..shared], 0)?;
        file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        file.sync_all()
    }
}

/// Whether no other file can have the name, but the file can be rewritten.
pub(crate) const fn needs_rewrite(error: Errno) -> bool {
    matches!(error, Errno::EBUSY | Errno::EXDEV)
}

#[cfg(test)]
mod tests;
