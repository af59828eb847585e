//! A config that both people and we write: one file, or a directory of small ones.
//!
//! **Invariant.** No save is lost. [`Conf::store`] replaces only what the last
//! [`Conf::load`] has read. The next load finds an edit that was saved at the same
//! time, and takes it as an edit of the version that the editor had read.

mod dir;
mod file;
mod names;
mod outcome;
mod scan;
mod stale_save;

use self::dir::ConfDir;
use self::file::ConfFile;
use super::error::FileError;
use super::look::Look;
use crate::codec::ConfFormat;
use crate::model::Record;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use self::outcome::{CONF_BYTES_MAX, CONF_ENTRIES_MAX, Loaded, Stored};

/// A config on this machine.
#[derive(Debug)]
pub struct Conf {
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    File(ConfFile),
    Dir(ConfDir),
}

impl Conf {
    /// A config at `path`; nothing is read yet.
    #[must_use]
    pub fn new(path: PathBuf, format: ConfFormat) -> Self {
        let shape = match format {
            ConfFormat::Dir => Shape::Dir(ConfDir::new(path)),
            ConfFormat::Text(text) => Shape::File(ConfFile::new(path, text)),
        };
        Self { shape }
    }

    /// Takes a field of a directory as new or deleted only when the directory around its file
    /// has been quiet for this time, which is zero otherwise.
    #[must_use]
    pub fn settling(mut self, quiet: Duration) -> Self {
        match &mut self.shape {
            Shape::File(_) => {}
            Shape::Dir(dir) => dir.settle_after(quiet),
        }
        self
    }

    /// Removes what killed processes have left, before anything is read. An edit that is nowhere
    /// else is kept under another name.
    pub fn sweep(&self) {
        match &self.shape {
            Shape::File(file) => file.sweep(),
            Shape::Dir(dir) => dir.sweep(),
        }
    }

    /// Remembers the types of the fields of a directory, for example those of an
    /// existing znode: text alone does not say what is a number.
    pub fn learn_types(&mut self, record: &Record) {
        match &mut self.shape {
            // A file has types of its own.
            Shape::File(_) => {}
            Shape::Dir(dir) => dir.learn_types(record),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`FileError`]. The last version is still known after an error, so the next store
    /// notices that the config has changed.
    pub fn load(&mut self) -> Result<Loaded, FileError> {
        match &mut self.shape {
            Shape::File(file) => file.load(),
            Shape::Dir(dir) => dir.load(),
        }
    }

    /// The conflicts of the last [`Conf::load`] have been logged: a displaced file whose edit is in
    /// the config, apart from these, need not be on the disk any longer.
    pub fn conflicts_logged(&mut self) {
        match &mut self.shape {
            Shape::File(file) => file.conflicts_logged(),
            Shape::Dir(dir) => dir.conflicts_logged(),
        }
    }

    /// What the path named at the last [`Conf::load`], before it was read; `None` before the
    /// first one.
    #[must_use]
    pub const fn last_look(&self) -> Option<&Look> {
        match &self.shape {
            Shape::File(file) => file.last_look(),
            Shape::Dir(dir) => dir.last_look(),
        }
    }

    /// When to call [`Conf::close_displaced`].
    #[must_use]
    pub fn close_at(&self) -> Option<Instant> {
        match &self.shape {
            Shape::File(file) => file.close_at(),
            Shape::Dir(_) => None,
        }
    }

    /// Closes the files that a store has replaced and that nobody seems to write to any more;
    /// returns whether an edit was found in them, which the next load has.
    pub fn close_displaced(&mut self) -> bool {
        match &mut self.shape {
            Shape::File(file) => file.close_displaced(),
            Shape::Dir(_) => false,
        }
    }

    /// Writes `wanted`, which is based on the record of the last load.
    ///
    /// A config that was missing then is created. Only what differs is written, and
    /// nothing that has changed since the last load.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Every single file has its old contents or its new ones; another
    /// store continues where this one failed.
    pub fn store(&mut self, wanted: &Record) -> Result<Stored, FileError> {
        match &mut self.shape {
            Shape::File(file) => file.store(wanted),
            Shape::Dir(dir) => dir.store(wanted),
        }
    }
}

#[cfg(test)]
mod editors;
#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
