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

/// The file that says that a directory is written by us alone.
pub(crate) const MARK: &str = ".zkexport";
const OWN: OwnershipMarker =
    OwnershipMarker { name: MARK, text: b"Written by zkexport: other files here are removed.\n" };

/// A directory that is ours to write.
#[derive(Debug)]
pub(crate) struct ExportDir {
    dir: OwnedDir,
    told: BTreeSet<(FieldPath, Refusal)>,
}

impl ExportDir {
    /// Makes the directory, or takes one that is empty or has our mark; with
    /// `adopt` any other one too. Its files are written in this manner from now on.
    pub(crate) fn claim(
        path: &Path,
        adopt: bool,
        options: WriteOptions,
    ) -> Result<Self, FileError> {
        OWN.claim(path, adopt)?;
        let dir = OwnedDir { path: path.to_owned(), marker: OWN, options };
        Ok(Self { dir, told: BTreeSet::new() })
    }

    /// Makes the directory show the farm, touching only what differs.
    pub(crate) fn store(&mut self, farm: &Farm) -> Result<Replaced, FileError> {
        let encoded = laid_out(farm);
        let refused: BTreeSet<_> = encoded.refused.into_iter().collect();
        for (field, why) in refused.difference(&self.told) {
            log::warn!(field:? = field.to_string(); "a field has no file: {why}");
        }
        self.told = refused;
        self.dir.write(&encoded.tree)
    }
}

/// Says what a farm would change in a directory; nothing is touched.
pub(crate) fn preview(path: &Path, adopt: bool, farm: &Farm) -> Result<Vec<Change>, FileError> {
    let dir = OwnedDir { path: path.to_owned(), marker: OWN, options: WriteOptions::default() };
    dir.preview(adopt, &laid_out(farm).tree)
}

fn laid_out(farm: &Farm) -> Encoded {
    let hosts = farm
        .iter()
        .map(|(name, record)| (name.as_str().to_owned(), Value::Object(record.as_map().clone())));
    encode(&Record::from_map(hosts.collect()))
}

#[cfg(test)]
mod tests;
