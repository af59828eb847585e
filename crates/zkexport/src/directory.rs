//! A whole farm as a directory: one directory per host, one file per field.
//!
//! The files of one host at a time are in memory.

use farm_core::codec::dir::{Refusal, Tree, check_name, encode_host};
use farm_core::files::error::{Fault, FileError};
use farm_core::files::file::Replaced;
use farm_core::files::marker::OwnershipMarker;
use farm_core::files::tree::{Change, Folders, OwnedDir};
use farm_core::files::write_options::WriteOptions;
use farm_core::model::{Farm, FieldPath, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The file that marks a directory as written by zkexport alone.
pub(crate) const MARKER_FILE: &str = ".zkexport";
const MARKER: OwnershipMarker = OwnershipMarker {
    name: MARKER_FILE,
    text: b"Written by zkexport: other files here are removed.\n",
};

/// The most files and directories of an export.
const ENTRIES_MAX: usize = 1_000_000;
/// The most fields without a file that are logged one by one.
const LOGGED_MAX: usize = 1_000;

/// A directory that zkexport owns.
#[derive(Debug)]
pub(crate) struct ExportDir {
    dir: OwnedDir,
    logged: Unfiled,
}

/// The fields that have no file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unfiled {
    /// At most [`LOGGED_MAX`] of them.
    fields: BTreeSet<(FieldPath, Refusal)>,
    /// How many more there are.
    more: usize,
}

impl Unfiled {
    fn extend(&mut self, refused: Vec<(FieldPath, Refusal)>) {
        for field in refused {
            if self.fields.len() < LOGGED_MAX {
                self.fields.insert(field);
            } else {
                self.more += 1;
            }
        }
    }

    /// Logs those that were not logged before.
    fn log(&self, logged: &Self) {
        for (field, why) in self.fields.difference(&logged.fields) {
            log::warn!(field:? = field.to_string(); "a field has no file: {why}");
        }
        if self.more != logged.more && self.more > 0 {
            log::warn!(fields = self.more; "more fields have no files");
        }
    }
}

impl ExportDir {
    /// Creates the directory, or takes one that is empty or has our marker; with
    /// `adopt`, any other one too. Removes what a killed run has left in it.
    pub(crate) fn claim(
        path: &Path,
        adopt: bool,
        options: WriteOptions,
    ) -> Result<Self, FileError> {
        let dir = OwnedDir { path: path.to_owned(), marker: MARKER, options };
        dir.claim(adopt)?;
        Ok(Self { dir, logged: Unfiled::default() })
    }

    /// Writes the farm into the directory, and touches only files that differ.
    pub(crate) fn store(&mut self, farm: &Farm) -> Result<Replaced, FileError> {
        check_count(&self.dir.path, farm)?;
        let unfiled = RefCell::new(Unfiled::default());
        let written = with_folders(farm, &unfiled, |folders| self.dir.write(folders));
        let unfiled = unfiled.into_inner();
        unfiled.log(&self.logged);
        self.logged = unfiled;
        written
    }
}

/// Calls `show` for each change that storing the farm would make; nothing is touched.
pub(crate) fn preview(
    path: &Path,
    adopt: bool,
    farm: &Farm,
    show: impl FnMut(Change) -> io::Result<()>,
) -> Result<(), FileError> {
    check_count(path, farm)?;
    let dir = OwnedDir { path: path.to_owned(), marker: MARKER, options: WriteOptions::default() };
    let unfiled = RefCell::default();
    with_folders(farm, &unfiled, |folders| dir.preview(adopt, folders, show))
}

/// Calls `act` with the wanted directories, one per host.
fn with_folders<T>(
    farm: &Farm,
    unfiled: &RefCell<Unfiled>,
    act: impl FnOnce(&Folders<'_>) -> T,
) -> T {
    let mut names = Vec::new();
    for (name, _) in farm {
        match check_name(name.as_str()) {
            Ok(()) => names.push(name.as_str()),
            Err(why) => {
                let field = FieldPath::from_keys(vec![name.as_str().to_owned()]);
                unfiled.borrow_mut().extend(vec![(field, why)]);
            }
        }
    }
    let tree_of = |name: &str| -> Tree {
        let Some(record) = farm.get(name) else { return Tree::default() };
        let encoded = encode_host(name, &record.unpack());
        unfiled.borrow_mut().extend(encoded.refused);
        encoded.tree
    };
    act(&Folders { names, tree_of: &tree_of })
}

/// Refuses a farm of which the disk would hold too many files.
fn check_count(path: &Path, farm: &Farm) -> Result<(), FileError> {
    let mut entries = farm.len();
    for (_, record) in farm {
        entries += record.unpack().as_map().values().map(entries_of).sum::<usize>();
        if entries > ENTRIES_MAX {
            let fault = Fault::TooManyEntries { entries_max: ENTRIES_MAX };
            return Err(FileError::writing(path, fault));
        }
    }
    Ok(())
}

fn entries_of(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(entries_of).sum::<usize>(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => 1,
    }
}

#[cfg(test)]
mod tests;
