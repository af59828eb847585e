//! All hosts of a farm, and the size in the farm's own record.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::numeric::Numeric;
use super::packed::PackedRecord;
use super::record::Record;

/// The longest name of a host, in bytes. The path of its znode cannot be longer.
pub const HOST_NAME_BYTES_MAX: usize = 4096;

/// The name of one host in its farm, which is the name of its znode.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Accepts `name` if it can be the name of a znode.
    ///
    /// # Errors
    ///
    /// [`HostNameError`] for a name that is empty, too long, `.` or `..`, or that
    /// contains a slash or a control character.
    pub fn parse(name: &str) -> Result<Self, HostNameError> {
        Self::check(name).map(|()| Self(name.into()))
    }

    /// Checks whether [`HostName::parse`] accepts the name.
    ///
    /// # Errors
    ///
    /// As for [`HostName::parse`].
    pub fn check(name: &str) -> Result<(), HostNameError> {
        if name.is_empty() {
            return Err(HostNameError::Empty);
        }
        if name.len() > HOST_NAME_BYTES_MAX {
            return Err(HostNameError::TooLong { bytes: name.len() });
        }
        if name == "." || name == ".." {
            return Err(HostNameError::Dots);
        }
        match name.chars().find(|c| *c == '/' || c.is_control()) {
            Some(found) => Err(HostNameError::Forbidden(found)),
            None => Ok(()),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a host name.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum HostNameError {
    /// It has no characters.
    #[error("a host name is empty")]
    Empty,
    /// It has more than [`HOST_NAME_BYTES_MAX`] bytes.
    #[error("a host name has {bytes} bytes, more than {HOST_NAME_BYTES_MAX}")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// The name is `.` or `..`.
    #[error("a host cannot be named . or ..")]
    Dots,
    /// It contains a slash or a control character.
    #[error("a host name cannot contain {0:?}")]
    Forbidden(char),
}

/// The records of all hosts, sorted by the bytes of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Farm(BTreeMap<HostName, PackedRecord>);

impl Farm {
    /// A farm without hosts.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds or replaces a host, and returns its old record.
    pub fn insert(
        &mut self,
        name: HostName,
        record: impl Into<PackedRecord>,
    ) -> Option<PackedRecord> {
        self.0.insert(name, record.into())
    }

    /// Removes a host, and returns its record.
    pub fn remove(&mut self, name: &str) -> Option<PackedRecord> {
        self.0.remove(name)
    }

    /// The record of one host.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&PackedRecord> {
        self.0.get(name)
    }

    /// How many hosts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no host.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All hosts, sorted by name.
    pub fn iter(&self) -> btree_map::Iter<'_, HostName, PackedRecord> {
        self.0.iter()
    }
}

impl<R: Into<PackedRecord>> FromIterator<(HostName, R)> for Farm {
    fn from_iter<I: IntoIterator<Item = (HostName, R)>>(hosts: I) -> Self {
        Self(hosts.into_iter().map(|(name, record)| (name, record.into())).collect())
    }
}

impl<'a> IntoIterator for &'a Farm {
    type Item = (&'a HostName, &'a PackedRecord);
    type IntoIter = btree_map::Iter<'a, HostName, PackedRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Farm {
    type Item = (HostName, PackedRecord);
    type IntoIter = btree_map::IntoIter<HostName, PackedRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The farm's own record with `size` raised to `hosts`, or `None` if it is at least
/// that already.
///
/// `size` is the highest number of hosts ever seen. A numeric string counts as its
/// number; a value that is not a number is replaced.
#[must_use]
pub fn raise_size(record: &Record, hosts: usize) -> Option<Record> {
    let known = match record.as_map().get("size") {
        Some(Value::Number(size)) => Numeric::parse(size.as_str()),
        Some(Value::String(size)) => Numeric::parse(size.trim()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    let hosts_seen = Numeric::from(hosts);
    if known.is_some_and(|known| known.compare(hosts_seen).is_ge()) {
        return None;
    }
    let mut map = record.as_map().clone();
    map.insert("size".to_owned(), Value::from(hosts));
    Some(Record::from_map(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    #[test]
    fn host_names_are_what_a_znode_can_be_called() {
        let long = "x".repeat(HOST_NAME_BYTES_MAX + 1);
        for name in ["1.2.3.4", "fe80::1", "db 01", "é", "...", &long[1..]] {
            assert_eq!(HostName::parse(name).unwrap().as_str(), name);
        }
        for (name, wanted) in [
            ("", HostNameError::Empty),
            (".", HostNameError::Dots),
            ("..", HostNameError::Dots),
            ("a/b", HostNameError::Forbidden('/')),
            ("a\0", HostNameError::Forbidden('\0')),
            ("a\n", HostNameError::Forbidden('\n')),
            (&long, HostNameError::TooLong { bytes: HOST_NAME_BYTES_MAX + 1 }),
        ] {
            assert_eq!(HostName::parse(name), Err(wanted), "{name:?}");
        }
    }

    #[test]
    fn hosts_are_sorted_by_bytes() {
        let farm: Farm = ["b", "a", "B", "é", "10", "9"]
            .into_iter()
            .map(|name| (HostName::parse(name).unwrap(), Record::new()))
            .collect();
        let names: Vec<_> = farm.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["10", "9", "B", "a", "b", "é"]);
    }

    #[test]
    fn size_only_grows() {
        for (before, hosts, wanted) in [
            (json!({}), 3, Some(json!({"size": 3}))),
            (json!({"size": 2, "x": "y"}), 3, Some(json!({"size": 3, "x": "y"}))),
            (json!({"size": "2"}), 3, Some(json!({"size": 3}))),
            (json!({"size": 3}), 3, None),
            (json!({"size": "16"}), 3, None),
            (json!({"size": 3.5}), 3, None),
            (json!({"size": "many"}), 3, Some(json!({"size": 3}))),
            (json!({"size": "NaN"}), 3, Some(json!({"size": 3}))),
            (json!({"size": "inf"}), 3, Some(json!({"size": 3}))),
            (json!({"size": [9]}), 3, Some(json!({"size": 3}))),
            (json!({"size": -1}), 0, Some(json!({"size": 0}))),
        ] {
            let raised = raise_size(&record(before.clone()), hosts);
            assert_eq!(raised, wanted.map(record), "{before} with {hosts}");
        }
    }
}
