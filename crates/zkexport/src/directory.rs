//! A whole farm as a directory: one directory per host, one file per field.

use farm_core::codec::dir::{Encoded, Refusal, encode};
use farm_core::files::error::FileError;
use farm_core::files::file::Replaced;
use farm_core::files::marker::OwnershipMarker;
use farm_core::files::tree::{Change, OwnedDir};
use farm_core::files::write_options::WriteOptions;
use farm_core::model::{Farm, FieldPath, Record, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// The file that marks a directory as written by zkexport alone.
pub(crate) const MARKER_FILE: &str = ".zkexport";
const MARKER: OwnershipMarker = OwnershipMarker {
    name: MARKER_FILE,
    text: b"Written by zkexport: other files here are removed.\n",
};

/// A directory that zkexport owns.
#[derive(Debug)]
pub(crate) struct ExportDir {
    dir: OwnedDir,
    logged: BTreeSet<(FieldPath, Refusal)>,
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
        Ok(Self { dir, logged: BTreeSet::new() })
    }

    /// Writes the farm into the directory, and touches only files that differ.
    pub(crate) fn store(&mut self, farm: &Farm) -> Result<Replaced, FileError> {
        let encoded = encode_hosts(farm);
        let refused: BTreeSet<_> = encoded.refused.into_iter().collect();
        for (field, why) in refused.difference(&self.logged) {
            log::warn!(field:? = field.to_string(); "a field has no file: {why}");
        }
        self.logged = refused;
        self.dir.write(&encoded.tree)
    }
}

/// The changes that storing the farm would make; nothing is touched.
pub(crate) fn preview(path: &Path, adopt: bool, farm: &Farm) -> Result<Vec<Change>, FileError> {
    let dir = OwnedDir { path: path.to_owned(), marker: MARKER, options: WriteOptions::default() };
    dir.preview(adopt, &encode_hosts(farm).tree)
}

fn encode_hosts(farm: &Farm) -> Encoded {
    let hosts = farm
        .iter()
        .map(|(name, record)| (name.as_str().to_owned(), Value::Object(record.as_map().clone())));
    encode(&Record::from_map(hosts.collect()))
}

#[cfg(test)]
mod tests;
