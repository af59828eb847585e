//! The config of a zkjoin, which the soak test edits.

use super::farm::{as_files, files_in};
use super::user::give_to_tools;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The format of a config or an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Dir,
    Json,
    Php,
}

impl Format {
    /// The name for `--format`.
    pub(super) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// A config: a directory or a JSON file.
pub(super) struct Conf {
    pub(super) format: Format,
    pub(super) path: PathBuf,
}

impl Conf {
    pub(super) fn new(dir: &Path, format: Format) -> Self {
        Self { format, path: dir.join(if format == Format::Dir { "conf" } else { "conf.json" }) }
    }

    /// Sets a field to a number. The file is written in place or replaced by a rename.
    pub(super) fn edit(&self, field: &str, number: u64, is_in_place: bool) -> io::Result<()> {
        let temporary = self.path.with_extension("edit");
        if self.format == Format::Dir {
            let target = self.path.join(field);
            let path = if is_in_place { &target } else { &temporary };
            write(path, &number.to_string())?;
            if is_in_place { Ok(()) } else { fs::rename(&temporary, target) }
        } else {
            let mut record = self.json()?;
            record.insert(field.to_owned(), number.into());
            write(&temporary, &Value::Object(record).to_string())?;
            fs::rename(&temporary, &self.path)
        }
    }

    fn json(&self) -> io::Result<Map<String, Value>> {
        Ok(serde_json::from_slice(&fs::read(&self.path)?)?)
    }

    /// Checks that the config equals the record of the znode.
    pub(super) fn check(&self, record: &Map<String, Value>) -> Result<(), String> {
        let (found, is_equal) = if self.format == Format::Dir {
            let found = files_in(&self.path)?;
            (format!("{found:?}"), found == as_files(record))
        } else {
            let found = self.json().map_err(|error| format!("{}: {error}", self.path.display()))?;
            (Value::Object(found.clone()).to_string(), found == *record)
        };
        let wanted = Value::Object(record.clone());
        if is_equal { Ok(()) } else { Err(format!("its config has {found}, its znode {wanted}")) }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    give_to_tools(path)?;
    file.write_all(text.as_bytes())
}
