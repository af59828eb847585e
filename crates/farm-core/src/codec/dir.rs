//! A record as a directory of small files: an object is a directory, any other
//! field a file with its value as text.
//!
//! Pure data, no I/O. **Invariant.** Every name in a tree made here is a plain file
//! name, so writing the tree never leaves its directory.

use super::json::parse_value;
use crate::model::{FieldPath, Map, Number, RESERVED_KEY, Record, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How deep directories may nest.
pub const DEPTH_MAX: usize = 64;
/// Some editors begin every file with it. It is no part of a value.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// The longest file name, in bytes: the limit of most file systems.
pub const NAME_BYTES_MAX: usize = 255;

/// Files and directories by their paths from the top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Contents by path.
    pub files: BTreeMap<Vec<String>, Vec<u8>>,
    /// All directories but the top, those of the files included.
    pub folders: BTreeSet<Vec<String>>,
}

/// The result of [`encode`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The fields that have files.
    pub tree: Tree,
    /// The fields that have none, with everything below them.
    pub refused: Vec<(FieldPath, Refusal)>,
}

/// Why a field cannot be a file.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The name is empty.
    #[error("a file name cannot be empty")]
    Empty,
    /// The name starts with a dot: `..` leads out, and dot-files are not ours.
    #[error("a file name cannot start with a dot")]
    Dot,
    /// The name has a slash or a NUL.
    #[error("a file name cannot contain a slash or a NUL")]
    Character,
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("the name is too long for a file")]
    Long,
    /// It nests deeper than [`DEPTH_MAX`].
    #[error("the directories nest too deep")]
    Deep,
    /// The name is [`RESERVED_KEY`].
    #[error("the name is reserved")]
    Reserved,
    /// The name is one of [`is_left_by_editors`].
    #[error("editors leave files with such names behind")]
    Editor,
}

/// Whether a name is that of a file which editors create beside the one that they save:
/// `*~`, `#*#` or vim's `4913`. In a config that people edit, it is no field.
#[must_use]
pub fn is_left_by_editors(name: &[u8]) -> bool {
    let is_between = |end: u8| name.len() > 1 && name[0] == end && name[name.len() - 1] == end;
    name.ends_with(b"~") || is_between(b'#') || name == b"4913"
}

/// Checks that a key can be a file name.
///
/// # Errors
///
/// The first [`Refusal`] that applies, but never [`Refusal::Deep`] or [`Refusal::Editor`].
pub fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        Err(Refusal::Empty)
    } else if name.starts_with('.') {
        Err(Refusal::Dot)
    } else if name.contains(['/', '\0']) {
        Err(Refusal::Character)
    } else if name.len() > NAME_BYTES_MAX {
        Err(Refusal::Long)
    } else if name == RESERVED_KEY {
        Err(Refusal::Reserved)
    } else {
        Ok(())
    }
}

/// Lays a record out as files and directories.
#[must_use]
pub fn encode(record: &Record) -> Encoded {
    let mut encoded = Encoded::default();
    lay_out(record.as_map(), check_name, &mut Vec::new(), &mut encoded);
    encoded
}

/// As [`encode`], for a directory that people edit: without [`is_left_by_editors`].
#[must_use]
pub fn encode_conf(record: &Record) -> Encoded {
    let check = |name: &str| match is_left_by_editors(name.as_bytes()) {
        true => Err(Refusal::Editor),
        false => check_name(name),
    };
    let mut encoded = Encoded::default();
    lay_out(record.as_map(), check, &mut Vec::new(), &mut encoded);
    encoded
}

/// As [`encode`], for one host of a farm: below a directory of that name.
#[must_use]
pub fn encode_host(name: &str, record: &Record) -> Encoded {
    let mut encoded = Encoded::default();
    let mut keys = vec![name.to_owned()];
    match check_name(name) {
        Ok(()) => {
            encoded.tree.folders.insert(keys.clone());
            lay_out(record.as_map(), check_name, &mut keys, &mut encoded);
        }
        Err(refusal) => encoded.refused.push((FieldPath::from_keys(keys), refusal)),
    }
    encoded
}

fn lay_out(
    map: &Map<String, Value>,
    check: fn(&str) -> Result<(), Refusal>,
    keys: &mut Vec<String>,
    encoded: &mut Encoded,
) {
    for (name, value) in map {
        keys.push(name.clone());
        let verdict = if keys.len() > DEPTH_MAX { Err(Refusal::Deep) } else { check(name) };
        match (verdict, value) {
            (Err(refusal), _) => {
                encoded.refused.push((FieldPath::from_keys(keys.clone()), refusal));
            }
            (Ok(()), Value::Object(below)) => {
                encoded.tree.folders.insert(keys.clone());
                lay_out(below, check, keys, encoded);
            }
            (Ok(()), leaf) => {
                encoded.tree.files.insert(keys.clone(), text_of(leaf).into_bytes());
            }
        }
        keys.pop();
    }
}

/// The contents of the file for a value.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// The values of the files when they were last read or written.
///
/// Text alone does not say whether `3` is a number. The last value does: while the
/// text stays, so does the value, and an edited number stays a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    values: BTreeMap<Vec<String>, Value>,
}

impl Memory {
    /// How many values of deleted fields are kept: an editor that deletes a file and
    /// creates it again must not turn a number into text.
    pub const GONE_MAX: usize = 10_000;

    /// Remembers the fields of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut memory = Self::default();
        memory.learn(record);
        memory
    }

    /// Remembers one field.
    pub fn learn_field(&mut self, keys: &[String], value: Value) {
        self.values.insert(keys.to_vec(), value);
    }

    /// Adds the fields of a newer record.
    pub fn learn(&mut self, record: &Record) {
        let leaves = record.leaves();
        if self.values.len() > leaves.len() + Self::GONE_MAX {
            self.values.clear();
        }
        for (field, value) in leaves {
            self.values.insert(field.keys().to_vec(), value.clone());
        }
    }

    /// The value of a file with this text.
    #[must_use]
    pub fn value_of(&self, keys: &[String], text: &str) -> Value {
        let trimmed = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim();
        let as_text = || Value::String(trimmed.to_owned());
        let Some(known) = self.values.get(keys) else { return as_text() };
        // A known text may begin with a mark of its own.
        if [text.trim(), trimmed].contains(&text_of(known).trim()) {
            return known.clone();
        }
        let edited = match known {
            Value::Number(_) => serde_json::from_str::<Number>(trimmed).ok().map(Value::Number),
            Value::Bool(_) => trimmed.parse().ok().map(Value::Bool),
            Value::Array(_) => parse_value(trimmed).filter(Value::is_array),
            Value::Null | Value::String(_) | Value::Object(_) => None,
        };
        // A record refuses a list that nests too deep.
        let fits = |value: &Value| {
            Record::new().set(&FieldPath::from_keys(keys.to_vec()), value.clone()).is_ok()
        };
        edited.filter(fits).unwrap_or_else(as_text)
    }
}

/// The result of [`decode`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The fields.
    pub record: Record,
    /// Files that are not text, and names that [`check_name`] refuses.
    pub skipped: Vec<FieldPath>,
}

/// Decodes a tree; the memory gives the values that are not strings.
#[must_use]
pub fn decode(tree: &Tree, memory: &Memory) -> Decoded {
    let mut top = Map::new();
    let mut skipped = Vec::new();
    for keys in &tree.folders {
        if is_plain(keys) {
            put(&mut top, keys, Value::Object(Map::new()));
        } else {
            skipped.push(FieldPath::from_keys(keys.clone()));
        }
    }
    for (keys, contents) in &tree.files {
        match std::str::from_utf8(contents) {
            Ok(text) if is_plain(keys) => put(&mut top, keys, memory.value_of(keys, text)),
            Ok(_) | Err(_) => skipped.push(FieldPath::from_keys(keys.clone())),
        }
    }
    Decoded { record: Record::from_map(top), skipped }
}

fn is_plain(keys: &[String]) -> bool {
    keys.len() <= DEPTH_MAX && keys.iter().all(|name| check_name(name).is_ok())
}

/// Adds a value, but never replaces a field that is there.
fn put(top: &mut Map<String, Value>, keys: &[String], value: Value) {
    let Some((last, above)) = keys.split_last() else { return };
    let mut map = top;
    for key in above {
        let below = map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(below) = below else { return };
        map = below;
    }
    map.entry(last.clone()).or_insert(value);
}

/// Copies the fields at `paths` from `agreed`, unless `record` has something else
/// there.
///
/// Without this a field whose name cannot be a file name, or whose file cannot be
/// read at the moment, would look deleted.
pub fn carry_over(record: &mut Record, agreed: &Record, paths: &[FieldPath]) {
    let mut top = std::mem::take(record).into_map();
    for path in paths {
        if let Some(value) = agreed.get(path) {
            put(&mut top, path.keys(), value.clone());
        }
    }
    *record = Record::from_map(top);
}

#[cfg(test)]
mod tests;
