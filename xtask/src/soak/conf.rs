//! The config of a zkjoin, in the hands of somebody who edits it.

use super::farm::{as_files, files_in};
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The format of a config or an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    Json,
    Php,
}

impl Kind {
    /// As `--format` takes it.
    pub(super) fn format(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A directory or a JSON file.
pub(super) struct Conf {
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
}

impl Conf {
    pub(super) fn new(dir: &Path, name: &str, kind: Kind) -> Self {
        let extension = if kind == Kind::Dir { "" } else { ".json" };
        Self { kind, path: dir.join(format!("{name}{extension}")) }
    }

    /// A field becomes that number: in a file renamed into place, or written where it is.
    pub(super) fn edit(&self, field: &str, number: u64, is_in_place: bool) -> io::Result<()> {
        let staged = self.path.with_extension("edit");
        if self.kind == Kind::Dir {
            let place = self.path.join(field);
            let path = if is_in_place { &place } else { &staged };
            File::create(path)?.write_all(number.to_string().as_bytes())?;
            if is_in_place { Ok(()) } else { fs::rename(&staged, place) }
        } else {
            let mut record = self.json()?;
            record.insert(field.to_owned(), number.into());
            File::create(&staged)?.write_all(Value::Object(record).to_string().as_bytes())?;
            fs::rename(&staged, &self.path)
        }
    }

    fn json(&self) -> io::Result<Map<String, Value>> {
        Ok(serde_json::from_slice(&fs::read(&self.path)?)?)
    }

    /// The config says what the znode says.
    pub(super) fn agrees(&self, record: &Map<String, Value>) -> Result<(), String> {
        let (found, is_equal) = if self.kind == Kind::Dir {
            let found = files_in(&self.path)?;
            (format!("{found:?}"), found == as_files(record))
        } else {
            let found = self.json().map_err(|error| format!("{}: {error}", self.path.display()))?;
            (Value::Object(found.clone()).to_string(), found == *record)
        };
        let wanted = Value::Object(record.clone());
        if is_equal { Ok(()) } else { Err(format!("its config says {found}, its znode {wanted}")) }
    }
}
