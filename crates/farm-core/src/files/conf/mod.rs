//! A config that people and we both write: one file, or a directory of small ones.
//!
//! **Invariant.** No save is lost. [`Conf::store`] writes only over what the last
//! [`Conf::load`] has seen; what somebody saved in the same moment is found by the
//! next load, as an edit of what they had before them.

mod dir;
mod file;
mod scan;
mod stale_save;

use self::dir::ConfDir;
use self::file::ConfFile;
use super::error::FileError;
use crate::codec::ConfFormat;
use crate::model::{Conflict, Record};
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes that a config may have.
pub const CONF_BYTES_MAX: usize = 1_000_000;
/// The most files and directories that a config may have.
pub const CONF_ENTRIES_MAX: usize = 10_000;
/// A writer that says nothing for so long is believed to be done.
const QUIET: Duration = Duration::from_millis(50);

/// What a config says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// Its fields. Those that it can't show, or not just now, are as they were last.
    pub record: Record,
    /// Fields of which an edit was lost, because we replaced them in the same
    /// moment; each is told once.
    pub conflicts: Vec<Conflict>,
    /// Somebody may be in the middle of a save: load again after this time, also
    /// without a hint.
    pub again: Option<Duration>,
    /// The config itself does not say all this, because of such an edit: store it.
    pub is_ahead: bool,
}

/// What [`Conf::store`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The config says all this already.
    Unchanged,
    /// Written.
    Written,
    /// Somebody else wrote in the same moment: load, merge and store again.
    Overtaken,
}

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
    /// Names a config; nothing is read yet.
    #[must_use]
    pub fn new(path: PathBuf, format: ConfFormat) -> Self {
        let shape = match format {
            ConfFormat::Dir => Shape::Dir(ConfDir::new(path)),
            ConfFormat::Text(text) => Shape::File(ConfFile::new(path, text)),
        };
        Self { shape }
    }

    /// Remembers what the fields of a directory stood for, such as those of an
    /// existing znode: text alone does not say what is a number.
    pub fn remember(&mut self, record: &Record) {
        match &mut self.shape {
            // A file says its types itself.
            Shape::File(_) => {}
            Shape::Dir(dir) => dir.remember(record),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`FileError`]. What was known before an error is still known after it: a
    /// store then finds out that the config is no longer the one it knows.
    pub fn load(&mut self) -> Result<Loaded, FileError> {
        match &mut self.shape {
            Shape::File(file) => file.load(),
            Shape::Dir(dir) => dir.load(),
        }
    }

    /// Makes it say `wanted`, which is made from the record last loaded.
    ///
    /// A config that was missing then is created. Only what differs is written,
    /// and nothing that has changed since the last load.
    ///
    /// # Errors
    ///
    /// [`FileError`]. Every single file has its old contents or its new ones;
    /// another store goes on where this one ended.
    pub fn store(&mut self, wanted: &Record) -> Result<Stored, FileError> {
        match &mut self.shape {
            Shape::File(file) => file.store(wanted),
            Shape::Dir(dir) => dir.store(wanted),
        }
    }
}

#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
