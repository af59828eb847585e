//! One file: read with a bound, replaced as a whole.
//!
//! **Invariant.** Who opens the path at any moment finds all of the old bytes or
//! all of the new ones, and a failure leaves the old ones and nothing else.

use super::folder::{Folder, Kind, Staged, code, kind_of, read_bounded, split};
use super::manner::Manner;
use nix::errno::Errno;
use nix::sys::stat::FileStat;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// As many links as Linux itself follows.
const LINKS_MAX: u32 = 40;

/// What [`replace`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// The file has new bytes.
    Written,
    /// The file had these bytes already, and was not touched.
    Unchanged,
}

/// Why something could not be written; the old contents are as they were.
#[derive(Debug)]
pub enum StoreError {
    /// The system said no.
    Io {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is something that is no regular file.
    NotAFile(PathBuf),
    /// More than we could read again.
    TooLarge(PathBuf),
    /// Links that never come to an end.
    LinkLoop(PathBuf),
    /// A record that the format cannot say.
    Encode {
        /// What was to be written.
        path: PathBuf,
        /// Why not.
        source: crate::codec::EncodeError,
    },
}

impl StoreError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none() {
            Self::NotAFile(path.to_owned())
        } else {
            Self::Io { path: path.to_owned(), source }
        }
    }

    /// Whether we were not allowed to: no permission, or a file system that is read-only.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_permission(source),
            Self::NotAFile(_) | Self::TooLarge(_) | Self::LinkLoop(_) | Self::Encode { .. } => {
                false
            }
        }
    }

    /// What could not be written.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::NotAFile(path) | Self::TooLarge(path) | Self::LinkLoop(path) => path,
            Self::Io { path, .. } | Self::Encode { path, .. } => path,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().display();
        match self {
            Self::Io { .. } | Self::Encode { .. } => write!(f, "cannot write {path}"),
            Self::NotAFile(_) => write!(f, "cannot write {path}: not a regular file"),
            Self::TooLarge(_) => write!(f, "cannot write {path}: the record is too large for it"),
            Self::LinkLoop(_) => write!(f, "cannot write {path}: too many levels of links"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Encode { source, .. } => Some(source),
            Self::NotAFile(_) | Self::TooLarge(_) | Self::LinkLoop(_) => None,
        }
    }
}

/// Why something could not be read.
#[derive(Debug)]
pub enum ReadError {
    /// There is no such file.
    Missing(PathBuf),
    /// It is no regular file, and was not opened.
    NotAFile(PathBuf),
    /// It has more bytes than the caller would take.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// As many would have been taken.
        bytes_max: usize,
    },
    /// The system said no.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ReadError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::InvalidInput if source.raw_os_error().is_none() => Self::NotAFile(path),
            _ => Self::Io { path, source },
        }
    }

    /// Whether we were not allowed to.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_permission(source),
            Self::Missing(_) | Self::NotAFile(_) | Self::TooLarge { .. } => false,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "no such file: {}", path.display()),
            Self::NotAFile(path) => {
                write!(f, "cannot read {}: not a regular file", path.display())
            }
            Self::TooLarge { path, bytes_max } => {
                write!(f, "cannot read {}: more than {bytes_max} bytes", path.display())
            }
            Self::Io { path, .. } => write!(f, "cannot read {}", path.display()),
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Missing(_) | Self::NotAFile(_) | Self::TooLarge { .. } => None,
        }
    }
}

pub(crate) fn is_permission(error: &io::Error) -> bool {
    matches!(code(error), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
}

/// Reads a regular file, links followed, of at most `bytes_max` bytes.
///
/// It never blocks: a fifo, a socket or a device is refused without being opened.
///
/// # Errors
///
/// [`ReadError`], which tells a missing file from one that can't be read.
pub fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    let place = match Place::of(path) {
        Ok(place) => place,
        Err(StoreError::Io { source, .. }) => return Err(ReadError::io(path, source)),
        Err(e) => return Err(ReadError::io(path, io::Error::other(e))),
    };
    let read = || {
        let Some(file) = place.folder.open_file(&place.name)? else { return Ok(None) };
        read_bounded(&file, bytes_max).map(Some)
    };
    match read().map_err(|e| ReadError::io(path, e))? {
        Some(Some(bytes)) => Ok(bytes),
        Some(None) => Err(ReadError::TooLarge { path: path.to_owned(), bytes_max }),
        None => Err(ReadError::Missing(path.to_owned())),
    }
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
/// [`StoreError`]; the old contents are intact and no other file is left behind.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<Replaced, StoreError> {
    replace_as(path, bytes, &Manner::default())
}

/// As [`replace`], with a mode, an owner or a way of writing of the caller's choice.
///
/// A file with equal bytes gets its mode and owner, and is [`Replaced::Unchanged`].
///
/// # Errors
///
/// [`StoreError`]; the old contents are intact and no other file is left behind.
pub fn replace_as(path: &Path, bytes: &[u8], manner: &Manner) -> Result<Replaced, StoreError> {
    let place = Place::of(path)?;
    let replaced = place.folder.replace_as(&place.name, bytes, manner);
    replaced.map_err(|e| StoreError::io(path, e))
}

/// Where a path leads: links followed, the directory open.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) folder: Folder,
    pub(crate) name: OsString,
}

impl Place {
    pub(crate) fn of(path: &Path) -> Result<Self, StoreError> {
        let wrap = |e| StoreError::io(path, e);
        let mut at = path.to_owned();
        for _ in 0..LINKS_MAX {
            let Ok(target) = std::fs::read_link(&at) else {
                let (parent, name) = split(&at).map_err(wrap)?;
                let folder = Folder::open(parent).map_err(wrap)?;
                return Ok(Self { folder, name: name.to_owned() });
            };
            at = at.parent().unwrap_or(Path::new("")).join(target);
        }
        Err(StoreError::LinkLoop(path.to_owned()))
    }
}

impl Folder {
    /// As [`replace_as`], for an entry that is no link.
    pub(super) fn replace_as(
        &self,
        name: &OsStr,
        bytes: &[u8],
        manner: &Manner,
    ) -> io::Result<Replaced> {
        let replaced = self.put(name, self.stat(name)?.as_ref(), bytes, manner)?;
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
        manner: &Manner,
    ) -> io::Result<Replaced> {
        if self.is_settled(name, old, bytes, manner)? {
            return Ok(Replaced::Unchanged);
        }
        if manner.is_in_place && old.is_some() {
            self.overwrite(name, bytes, manner)?;
        } else {
            let staged = self.stage_as(bytes, old, manner)?;
            self.install(staged, name, bytes, manner)?;
        }
        Ok(Replaced::Written)
    }

    /// Whether the file has these bytes already; then its mode and owner are put right.
    pub(super) fn is_settled(
        &self,
        name: &OsStr,
        old: Option<&FileStat>,
        bytes: &[u8],
        manner: &Manner,
    ) -> io::Result<bool> {
        let Some(stat) = old else { return Ok(false) };
        if kind_of(stat) != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if !self.holds(name, bytes)? {
            return Ok(false);
        }
        if !manner.is_met_by(stat)
            && let Some(file) = self.open_file(name)?
        {
            manner.apply(&file)?;
        }
        Ok(true)
    }

    /// Puts a staged file in the place of `name`.
    pub(super) fn install(
        &self,
        staged: Staged<'_>,
        name: &OsStr,
        bytes: &[u8],
        manner: &Manner,
    ) -> io::Result<()> {
        match staged.rename_over(name) {
            Ok(()) => Ok(()),
            Err((staged, e)) if needs_rewrite(e) => {
                drop::<Staged<'_>>(staged);
                self.rewrite(name, bytes, manner)
            }
            Err((_, e)) => Err(e.into()),
        }
    }

    /// Rewrites the same file, and makes it as it shall be.
    pub(super) fn overwrite(&self, name: &OsStr, bytes: &[u8], manner: &Manner) -> io::Result<()> {
        if let Some(file) = self.open_to_rewrite(name)? {
            manner.apply(&file)?;
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
    pub(super) fn rewrite(&self, name: &OsStr, bytes: &[u8], manner: &Manner) -> io::Result<()> {
        static TOLD: AtomicBool = AtomicBool::new(false);
        if !TOLD.swap(true, Ordering::Relaxed) {
            let path = self.path_of(name);
            log::warn!("cannot be replaced, rewriting it in place: file={}", path.display());
        }
        self.overwrite(name, bytes, manner)
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
