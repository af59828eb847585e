//! Reads a config directory, within bounds.
//!
//! **Invariant.** Only directories and regular files are opened, no link is
//! followed, and dot-files and what editors leave behind are ignored.

use crate::codec::dir::{DEPTH_MAX, Tree, check_name, is_left_by_editors};
use crate::engine::check_stop;
use crate::files::error::is_shortage;
use crate::files::folder::Folder;
use crate::files::hidden::is_hidden;
use crate::files::kind::Kind;
use crate::files::look::Stamp;
use crate::files::open_file::read_bounded;
use crate::model::FieldPath;
use nix::sys::stat::fstat;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The bounds of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries_max: usize,
    pub(super) bytes_max: usize,
}

/// The result of a scan.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tree: Tree,
    /// The entries that could not be read.
    pub(super) skipped: Vec<Skipped>,
    /// Empty files that an editor may be about to write.
    pub(super) just_emptied: Vec<Vec<String>>,
    /// What was opened, the top included, as it was before it was read.
    pub(super) stamps: BTreeMap<Vec<String>, Option<Stamp>>,
}

/// An entry that could not be read as a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Skipped {
    pub(super) path: PathBuf,
    /// Its field; `None` if its name cannot be that of a field.
    pub(super) keys: Option<Vec<String>>,
    pub(super) reason: SkipReason,
}

#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SkipReason {
    #[error("its name is not UTF-8")]
    NameNotText,
    #[error("it is not UTF-8")]
    NotText,
    #[error("it is neither file nor directory")]
    NotAFile,
    #[error("{0}")]
    Unreadable(io::ErrorKind),
}

#[derive(Debug)]
pub(super) enum ScanError {
    /// There are too many bytes, or directories nest too deep.
    TooLarge,
    TooManyEntries,
    Io(io::Error),
}

impl From<io::Error> for ScanError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Reads the tree below `top`.
///
/// Entries that cannot be read are skipped. A failure at the top is an error, and so is a system
/// without descriptors: an entry that is skipped is read again only once it changes.
pub(super) fn scan(top: &Folder, limits: Limits, quiet: Duration) -> Result<Found, ScanError> {
    let mut scan = Scan { found: Found::default(), limits, quiet, keys: Vec::new() };
    scan.folder(top)?;
    Ok(scan.found)
}

struct Scan {
    found: Found,
    limits: Limits,
    quiet: Duration,
    /// The path of the current entry.
    keys: Vec<String>,
}

impl Scan {
    fn folder(&mut self, folder: &Folder) -> Result<(), ScanError> {
        self.found.stamps.insert(self.keys.clone(), Stamp::of_open(folder));
        let names = folder.names(self.limits.entries_max)?.ok_or(ScanError::TooManyEntries)?;
        for name in names.iter().filter(|name| is_field(name)) {
            check_stop()?;
            self.limits.entries_max =
                self.limits.entries_max.checked_sub(1).ok_or(ScanError::TooManyEntries)?;
            let Some(text) = name.to_str().filter(|text| check_name(text).is_ok()) else {
                self.skip(folder, name, SkipReason::NameNotText);
                continue;
            };
            self.keys.push(text.to_owned());
            let outcome = self.entry(folder, name);
            self.keys.pop();
            outcome?;
        }
        Ok(())
    }

    /// Reads an entry, or skips it if it cannot be read.
    fn entry(&mut self, folder: &Folder, name: &OsStr) -> Result<(), ScanError> {
        let kind = match self.read(folder, name) {
            Err(ScanError::Io(e)) if is_shortage(&e) => return Err(e.into()),
            Err(ScanError::Io(e)) => e.kind(),
            read @ (Ok(()) | Err(ScanError::TooLarge | ScanError::TooManyEntries)) => return read,
        };
        match kind {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::InvalidInput => self.skip(folder, name, SkipReason::NotAFile),
            kind => self.skip(folder, name, SkipReason::Unreadable(kind)),
        }
        Ok(())
    }

    fn read(&mut self, folder: &Folder, name: &OsStr) -> Result<(), ScanError> {
        match folder.kind(name)? {
            // It was removed since the names were read.
            None => Ok(()),
            Some(Kind::Folder) => {
                let below = folder.enter(name)?;
                if self.keys.len() >= DEPTH_MAX {
                    return Err(ScanError::TooLarge);
                }
                self.found.tree.folders.insert(self.keys.clone());
                self.folder(&below)
            }
            Some(Kind::File) => self.file(folder, name),
            Some(Kind::Other) => Err(io::Error::from(io::ErrorKind::InvalidInput).into()),
        }
    }

    fn file(&mut self, folder: &Folder, name: &OsStr) -> Result<(), ScanError> {
        let Some(file) = folder.open_file(name)? else { return Ok(()) };
        self.found.stamps.insert(self.keys.clone(), Stamp::of_open(&file));
        let bytes = read_bounded(&file, self.limits.bytes_max)?.ok_or(ScanError::TooLarge)?;
        self.limits.bytes_max -= bytes.len();
        if bytes.is_empty() && is_younger(&fstat(&file).map_err(io::Error::from)?, self.quiet) {
            self.found.just_emptied.push(self.keys.clone());
        }
        if std::str::from_utf8(&bytes).is_err() {
            self.skip(folder, name, SkipReason::NotText);
        } else {
            self.found.tree.files.insert(self.keys.clone(), bytes);
        }
        Ok(())
    }

    fn skip(&mut self, folder: &Folder, name: &OsStr, reason: SkipReason) {
        let keys = (reason != SkipReason::NameNotText).then(|| self.keys.clone());
        self.found.skipped.push(Skipped { path: folder.path_of(name), keys, reason });
    }
}

fn is_field(name: &OsStr) -> bool {
    !is_hidden(name) && !is_left_by_editors(name.as_encoded_bytes())
}

impl Skipped {
    pub(super) fn field(&self) -> Option<FieldPath> {
        self.keys.clone().map(FieldPath::from_keys)
    }
}

/// Whether a file was modified within `age`. A time in the future does not count, since
/// clocks differ.
fn is_younger(stat: &nix::sys::stat::FileStat, age: Duration) -> bool {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let written = UNIX_EPOCH + Duration::new(seconds, nanos);
    SystemTime::now().duration_since(written).is_ok_and(|passed| passed < age)
}
