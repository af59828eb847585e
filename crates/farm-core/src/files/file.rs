//! One file: read with a bound, replaced as a whole.
//!
//! **Invariant.** Who opens the path at any moment finds all of the old bytes or
//! all of the new ones, and a failure leaves the old ones and nothing else.

use super::error::{Fault, FileError, is_permission};
use super::folder::{Folder, Kind, Staged, kind_of, read_bounded, split};
use super::write_options::WriteOptions;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many links are followed: as many as Linux itself follows.
pub(super) const LINKS_MAX: u32 = 40;

/// What [`replace`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The file has new bytes.
    Written,
    /// The file had these bytes already, and was not touched.
    Unchanged,
}

/// Reads a regular file, links followed, of at most `bytes_max` bytes.
///
/// It never blocks: a fifo, a socket or a device is refused without being opened.
///
/// # Errors
///
/// [`FileError`], which tells a missing file from one that can't be read.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, FileError> {
    let place = FileLocation::of(path).map_err(|e| match e.fault {
        Fault::Io(source) => FileError::reading(path, source),
        _ => FileError::reading(path, io::Error::other(e)),
    })?;
    let read = || {
        let file = place.folder.open_file(&place.name)?.ok_or(io::ErrorKind::NotFound)?;
        read_bounded(&file, bytes_max)
    };
    let bytes = read().map_err(|e| FileError::reading(path, e))?;
    bytes.ok_or_else(|| FileError::reading(path, Fault::TooLarge { bytes_max }))
}

/// Puts `bytes` in the place of what the file has, or makes it.
///
/// Equal bytes are left alone. An existing file keeps its mode and, as far as we
/// may, its owner; a new one follows the umask. A link stays, its target is
/// replaced, and is made if it is missing. Where the name can't be given to
/// another file (a mount point), the same file is rewritten, with a warning.
///
/// # Errors
///
/// [`FileError`]; the old contents are intact and no other file is left behind.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<Replaced, FileError> {
    replace_as(path, bytes, &WriteOptions::default())
}

/// As [`replace`], with a mode, an owner or a way of writing of the caller's choice.
///
/// A file with equal bytes gets its mode and owner, and is [`Replaced::Unchanged`].
///
/// # Errors
///
/// [`FileError`]; the old contents are intact and no other file is left behind.
pub fn replace_as(
    path: &Path,
    bytes: &[u8],
    options: &WriteOptions,
) -> Result<Replaced, FileError> {
    let place = FileLocation::of(path)?;
    let replaced = place.folder.replace_as(&place.name, bytes, options);
    replaced.map_err(|e| FileError::writing(path, e))
}

/// Where a path leads: links followed, the directory open.
#[derive(Debug)]
pub(crate) struct FileLocation {
    pub(crate) folder: Folder,
    pub(crate) name: OsString,
}

impl FileLocation {
    pub(crate) fn of(path: &Path) -> Result<Self, FileError> {
        let wrap = |e| FileError::writing(path, e);
        let mut at = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Ok(target) = std::fs::read_link(&at) else {
                let (parent, name) = split(&at).map_err(wrap)?;
                let folder = Folder::open(parent).map_err(wrap)?;
                return Ok(Self { folder, name: name.to_owned() });
            };
            at = at.parent().unwrap_or(Path::new("")).join(target);
        }
        Err(FileError::writing(path, Fault::LinkLoop))
    }
}

impl Folder {
    /// As [`replace_as`], for an entry that is no link.
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
        if self.is_settled(name, old, bytes, options)? {
            return Ok(Replaced::Unchanged);
        }
        if options.is_in_place && old.is_some() {
            self.overwrite(name, bytes, options)?;
        } else {
            let staged = self.stage_as(bytes, old, options)?;
            self.install(staged, name, bytes, options)?;
        }
        Ok(Replaced::Written)
    }

    /// Whether the file has these bytes already; then its mode and owner are put right.
    pub(super) fn is_settled(
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

    /// Puts a staged file in the place of `name`.
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

    /// Rewrites the same file, and makes it as it shall be.
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

    /// Whether a file says just this; not if we may not read it.
    pub(crate) fn holds(&self, name: &OsStr, bytes: &[u8]) -> io::Result<bool> {
        let file = match self.open_file(name) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(false),
            // We may replace what we may not read.
            Err(e) if is_permission(&e) => return Ok(false),
            Err(e) => return Err(e),
        };
        Ok(read_bounded(&file, bytes.len())?.is_some_and(|old| old == bytes))
    }

    /// As [`Folder::overwrite`], for a name that can't be given to another file.
    pub(super) fn rewrite(
        &self,
        name: &OsStr,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> io::Result<()> {
        static TOLD: AtomicBool = AtomicBool::new(false);
        if !TOLD.swap(true, Ordering::Relaxed) {
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
        // What needs more room comes first: a full disk is noticed while the old
        // bytes still stand.
        if let Err(e) = file.write_all_at(&bytes[shared..], old_length) {
            file.set_len(old_length)?;
            return Err(e);
        }
        file.write_all_at(&bytes[..shared], 0)?;
        file.set_len(u64::try_from(bytes.len()).unwrap_or(u64::MAX))?;
        file.sync_all()
    }
}

/// Whether a name can't be given to another file, but its bytes can be changed.
pub(crate) const fn needs_rewrite(error: Errno) -> bool {
    matches!(error, Errno::EBUSY | Errno::EXDEV)
}

#[cfg(test)]
mod tests;
