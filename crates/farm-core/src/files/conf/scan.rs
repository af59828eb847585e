//! A config directory on the disk, read as data, within bounds.
//!
//! **Invariant.** Only directories and regular files are opened, no link is
//! followed, dot-files are not even looked at.

use crate::codec::dir::{DEPTH_MAX, Tree, check_name};
use crate::files::folder::{Folder, Kind, read_bounded};
use crate::files::hidden::is_hidden;
use crate::model::FieldPath;
use nix::sys::stat::fstat;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much a tree may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) entries_max: usize,
    pub(super) bytes_max: usize,
}

/// A tree as it was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tree: Tree,
    /// What is there but could not be read, and why.
    pub(super) skipped: Vec<Skipped>,
    /// Empty files that somebody may just be about to fill.
    pub(super) just_emptied: Vec<Vec<String>>,
}

/// An entry that is no field, or not just now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Skipped {
    pub(super) path: PathBuf,
    /// The field it would be; `None` if its name can't be a field's.
    pub(super) keys: Option<Vec<String>>,
    pub(super) reason: Reason,
}

#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
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
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for ScanError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// Reads the tree below `top`.
///
/// A part of it that can't be read is skipped; only the top itself is an error.
pub(super) fn scan(top: &Folder, limits: Limits, quiet: Duration) -> Result<Found, ScanError> {
    let mut scan = Scan { found: Found::default(), limits, quiet, above: Vec::new() };
    scan.folder(top)?;
    Ok(scan.found)
}

struct Scan {
    found: Found,
    limits: Limits,
    quiet: Duration,
    above: Vec<String>,
}

impl Scan {
    fn folder(&mut self, folder: &Folder) -> Result<(), ScanError> {
        let names = folder.names(self.limits.entries_max)?.ok_or(ScanError::TooLarge)?;
        for name in names.iter().filter(|name| !is_hidden(name)) {
            self.limits.entries_max =
                self.limits.entries_max.checked_sub(1).ok_or(ScanError::TooLarge)?;
            let Some(text) = name.to_str().filter(|text| check_name(text).is_ok()) else {
                self.skip(folder, name, Reason::NameNotText);
                continue;
            };
            self.above.push(text.to_owned());
            let outcome = self.entry(folder, name);
            self.above.pop();
            outcome?;
        }
        Ok(())
    }

    /// Reads an entry, or skips it if it can't be read.
    fn entry(&mut self, folder: &Folder, name: &OsStr) -> Result<(), ScanError> {
        let kind = match self.read(folder, name) {
            Err(ScanError::Io(e)) => e.kind(),
            read @ (Ok(()) | Err(ScanError::TooLarge)) => return read,
        };
        match kind {
            io::ErrorKind::NotFound => {}
            io::ErrorKind::InvalidInput => self.skip(folder, name, Reason::NotAFile),
            kind => self.skip(folder, name, Reason::Unreadable(kind)),
        }
        Ok(())
    }

    fn read(&mut self, folder: &Folder, name: &OsStr) -> Result<(), ScanError> {
        match folder.kind(name)? {
            // Gone since we have seen its name.
            None => Ok(()),
            Some(Kind::Folder) => {
                let below = folder.enter(name)?;
                if self.above.len() >= DEPTH_MAX {
                    return Err(ScanError::TooLarge);
                }
                self.found.tree.folders.insert(self.above.clone());
                self.folder(&below)
            }
            Some(Kind::File) => self.file(folder, name),
            Some(Kind::Other) => Err(io::Error::from(io::ErrorKind::InvalidInput).into()),
        }
    }

    fn file(&mut self, folder: &Folder, name: &OsStr) -> Result<(), ScanError> {
        let Some(file) = folder.open_file(name)? else { return Ok(()) };
        let bytes = read_bounded(&file, self.limits.bytes_max)?.ok_or(ScanError::TooLarge)?;
        self.limits.bytes_max -= bytes.len();
        if bytes.is_empty() && is_younger(&fstat(&file).map_err(io::Error::from)?, self.quiet) {
            self.found.just_emptied.push(self.above.clone());
        }
        if std::str::from_utf8(&bytes).is_err() {
            self.skip(folder, name, Reason::NotText);
        } else {
            self.found.tree.files.insert(self.above.clone(), bytes);
        }
        Ok(())
    }

    fn skip(&mut self, folder: &Folder, name: &OsStr, reason: Reason) {
        let keys = (reason != Reason::NameNotText).then(|| self.above.clone());
        self.found.skipped.push(Skipped { path: folder.path_of(name), keys, reason });
    }
}

impl Skipped {
    pub(super) fn field(&self) -> Option<FieldPath> {
        self.keys.clone().map(FieldPath::from_keys)
    }
}

/// Whether a file was written to within `age`. A time that is yet to come says
/// nothing: clocks differ.
fn is_younger(stat: &nix::sys::stat::FileStat, age: Duration) -> bool {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    let written = UNIX_EPOCH + Duration::new(seconds, nanos);
    SystemTime::now().duration_since(written).is_ok_and(|passed| passed < age)
}
