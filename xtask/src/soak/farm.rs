//! The farm as an outsider sees it, and what the files should make of it.
//!
//! Nothing here is the tools' own code: it would share their faults.

use super::error::SoakError;
use super::eye::Eye;
use farm_harness::{Zk, ZkError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The farm of all tools.
pub(super) const FARM: &str = "/soak/farm";

/// What makes a znode the one that it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) czxid: i64,
    pub(super) owner: i64,
}

/// A host's znode.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Host {
    pub(super) identity: Identity,
    pub(super) version: i32,
    pub(super) record: Map<String, Value>,
}

/// All hosts, by name.
pub(super) type Farm = BTreeMap<String, Host>;

/// Reads the farm, once.
pub(super) fn read(eye: &mut Eye) -> Result<Farm, SoakError> {
    let found = eye.ask(|zk| {
        let mut found = Vec::new();
        for name in zk.children(FARM)? {
            match zk.get(&format!("{FARM}/{name}")) {
                Ok(znode) => found.push((name, znode)),
                Err(ZkError::NoNode) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    });
    let mut farm = Farm::new();
    for (name, znode) in found.map_err(SoakError::Zk)? {
        let record = serde_json::from_slice(&znode.data)
            .map_err(|error| SoakError::Unread { what: name.clone(), why: error.to_string() })?;
        let stat = znode.stat;
        let identity = Identity { czxid: stat.czxid, owner: stat.ephemeral_owner };
        farm.insert(name, Host { identity, version: stat.version, record });
    }
    Ok(farm)
}

/// Who is in the farm, by the names of their znodes.
pub(super) fn members(zk: &mut Zk) -> Result<BTreeMap<String, Identity>, ZkError> {
    let mut members = BTreeMap::new();
    for name in zk.children(FARM)? {
        if let Some(stat) = zk.exists(&format!("{FARM}/{name}"))? {
            members.insert(name, Identity { czxid: stat.czxid, owner: stat.ephemeral_owner });
        }
    }
    Ok(members)
}

/// A counter in a record, however its type came out.
pub(super) fn counter(record: &Map<String, Value>, field: &str) -> u64 {
    match record.get(field) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_u64().unwrap_or(0),
        None => 0,
    }
}

/// The PHP file for a farm of flat records of harmless strings and integers.
pub(super) fn as_php(farm: &Farm) -> String {
    let mut text = String::from("<?php\nreturn array\n(\n");
    for (name, host) in farm {
        // Writing to a string does not fail.
        writeln!(text, "    \"{name}\" => array\n    (").unwrap_or_default();
        for (field, value) in &host.record {
            writeln!(text, "        \"{field}\" => {value},").unwrap_or_default();
        }
        text += "    ),\n";
    }
    text + ");\n"
}

/// The JSON document for a farm.
pub(super) fn as_json(farm: &Farm) -> Value {
    farm.iter().map(|(name, host)| (name.clone(), Value::Object(host.record.clone()))).collect()
}

/// The directory tree for a record: file name to content.
pub(super) fn as_files(record: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    record.iter().map(|(field, value)| (field.clone(), text(value))).collect()
}

/// What the files of a directory say; hidden ones say nothing.
pub(super) fn files_in(dir: &Path) -> Result<BTreeMap<String, String>, String> {
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(told)? {
        let entry = entry.map_err(told)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.insert(name, fs::read_to_string(entry.path()).map_err(told)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_farm_is_shown_in_each_format() {
        let Value::Object(record) = json!({"local": "7", "remote": 3}) else { panic!() };
        assert_eq!((counter(&record, "local"), counter(&record, "remote")), (7, 3));
        assert_eq!(as_files(&record)["remote"], "3");
        let host = Host { identity: Identity { czxid: 1, owner: 2 }, version: 0, record };
        let farm = Farm::from([("a".to_owned(), host)]);
        assert_eq!(as_json(&farm), json!({"a": {"local": "7", "remote": 3}}));
        assert_eq!(
            as_php(&farm),
            "<?php\nreturn array\n(\n    \"a\" => array\n    (\n        \"local\" => \"7\",\n        \
             \"remote\" => 3,\n    ),\n);\n"
        );
    }
}
