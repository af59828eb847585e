//! The farm as a bare client reads it, and the files that should come of it.
//!
//! Nothing here uses the code of the tools: it would have the same bugs.

use super::error::SoakError;
use super::observer::Observer;
use farm_harness::{Zk, ZkError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The path of the farm.
pub(super) const FARM: &str = "/soak/farm";

/// What identifies a znode: it differs if the znode was deleted and created again.
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

/// Reads the farm.
pub(super) fn read(observer: &mut Observer) -> Result<Farm, SoakError> {
    let found = observer.request(|zk| {
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
            .map_err(|error| SoakError::NotJson { what: name.clone(), why: error.to_string() })?;
        let stat = znode.stat;
        let identity = Identity { czxid: stat.czxid, owner: stat.ephemeral_owner };
        farm.insert(name, Host { identity, version: stat.version, record });
    }
    Ok(farm)
}

/// The identities of all znodes in the farm, by name.
pub(super) fn members(zk: &mut Zk) -> Result<BTreeMap<String, Identity>, ZkError> {
    let mut members = BTreeMap::new();
    for name in zk.children(FARM)? {
        if let Some(stat) = zk.exists(&format!("{FARM}/{name}"))? {
            members.insert(name, Identity { czxid: stat.czxid, owner: stat.ephemeral_owner });
        }
    }
    Ok(members)
}

/// A counter in a record, which may be a number or a string.
pub(super) fn counter(record: &Map<String, Value>, field: &str) -> u64 {
    match record.get(field) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_u64().unwrap_or(0),
        None => 0,
    }
}

/// The PHP file for a farm of flat records with integers, and strings that need no escaping.
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

/// The directory for a record: the content of each file, by name.
pub(super) fn as_files(record: &Map<String, Value>) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    record.iter().map(|(field, value)| (field.clone(), text(value))).collect()
}

/// The content of all files in a directory but the hidden ones.
pub(super) fn files_in(dir: &Path) -> Result<BTreeMap<String, String>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", dir.display());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            files.insert(name, fs::read_to_string(entry.path()).map_err(failed)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_farm_is_written_in_each_format() {
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
