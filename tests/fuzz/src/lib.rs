//! Checks that must hold for any input bytes.
//!
//! The fuzz targets run them on libFuzzer's inputs, and farm-core's tests on a bounded number
//! of mutations. A check fails by a panic.

use farm_core::codec::{self, ConfText, TextFormat, dir};
use farm_core::model::{Farm, FieldPath, Filter, HostName, Record, merge};
use farm_core::session::{Servers, ZnodePath};
use std::str;

/// A znode: decoding what was encoded gives the same record.
pub fn json(bytes: &[u8]) {
    let Ok(record) = codec::json::decode_znode(bytes) else { return };
    let written = codec::json::encode_znode(&record);
    let back = codec::json::decode_znode(&written).expect("what we wrote can be read");
    assert_eq!(back, record);
    assert_eq!(codec::json::encode_znode(&back), written);
    outlive(&record);
}

/// A YAML config.
pub fn yaml(bytes: &[u8]) {
    let Ok(record) = codec::decode(ConfText::Yaml, bytes) else { return };
    // Quoting may make the document longer than the limit.
    let Ok(written) = codec::encode_record(ConfText::Yaml, &record) else { return };
    let Ok(back) = codec::decode(ConfText::Yaml, &written) else {
        let text = String::from_utf8_lossy(&written);
        assert!(written.len() > codec::yaml::DOCUMENT_BYTES_MAX, "unreadable:\n{text}");
        return;
    };
    assert_eq!(back, record, "{}", String::from_utf8_lossy(&written));
    outlive(&record);
}

/// A record as PHP: no byte of it ends the file's only expression.
pub fn php(bytes: &[u8]) {
    let Ok(record) = codec::json::decode_znode(bytes) else { return };
    let mut farm = Farm::new();
    if let Ok(name) = HostName::parse("host") {
        farm.insert(name, record.clone());
    }
    for written in
        [codec::encode_record(TextFormat::Php, &record), codec::encode_farm(TextFormat::Php, &farm)]
    {
        let Ok(written) = written else { continue };
        let body = written.strip_prefix(b"<?php\nreturn array\n(\n").expect("it is one expression");
        let end = outside_of_strings(body);
        assert!(end.ends_with(");\n") && end.matches(';').count() == 1, "{end}");
    }
}

/// The text outside of double quotes.
fn outside_of_strings(body: &[u8]) -> String {
    let (mut is_inside, mut is_escaped) = (false, false);
    let mut outside = String::new();
    for byte in body {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_inside => is_escaped = true,
            b'$' if is_inside => panic!("a variable in a string"),
            b'"' => is_inside = !is_inside,
            _ if is_inside => {}
            byte => outside.push(char::from(*byte)),
        }
    }
    assert!(!is_inside, "a string without an end");
    outside
}

/// A directory given as lines of `path=content`, and a record as a directory.
pub fn dir(bytes: &[u8]) {
    let mut tree = dir::Tree::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let equals = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
        let (path, content) = line.split_at(equals);
        let Ok(path) = str::from_utf8(path) else { continue };
        let keys: Vec<String> = path.split('/').map(str::to_owned).collect();
        tree.folders.extend((1..keys.len()).map(|end| keys[..end].to_vec()));
        tree.files.insert(keys, content.get(1..).unwrap_or_default().to_vec());
    }
    let memory = dir::Memory::default();
    let decoded = dir::decode(&tree, &memory);
    let encoded = dir::encode(&decoded.record);
    for name in encoded.tree.files.keys().chain(&encoded.tree.folders).flatten() {
        assert!(dir::check_name(name).is_ok(), "{name:?}");
    }
    outlive(&decoded.record);
    if let Ok(record) = codec::json::decode_znode(bytes) {
        let encoded = dir::encode(&record);
        for name in encoded.tree.files.keys().flatten() {
            assert!(dir::check_name(name).is_ok(), "{name:?}");
        }
        drop(dir::decode(&encoded.tree, &dir::Memory::of(&record)));
    }
}

/// A field path: parsing its text gives the same path.
pub fn field(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(path) = FieldPath::parse(text) else { return };
    assert_eq!(FieldPath::parse(&path.to_string()).as_ref(), Ok(&path));
    let mut record = Record::new();
    if record.set(&path, 1.into()).is_ok() {
        assert!(record.unset(&path));
    }
}

/// A filter, and its error messages.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Filter::parse(text) {
        Ok(filter) => {
            let record = codec::json::decode_znode(br#"{"a":1,"b":{"c":"x"},"n":null,"l":[1]}"#);
            let _is_kept = record.is_ok_and(|record| filter.keeps(&record));
        }
        Err(error) => drop(error.to_string()),
    }
}

/// A connect string, and a znode path.
pub fn servers(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Servers::parse(text) {
        Ok(servers) => assert!(!servers.list().is_empty()),
        Err(error) => drop(error.to_string()),
    }
    if let Ok(path) = ZnodePath::parse(text) {
        assert_eq!(path.as_str(), text);
    }
}

/// Operations that must work on every record.
fn outlive(record: &Record) {
    for (path, value) in record.leaves() {
        assert_eq!(record.get(&path), Some(value), "{path}");
    }
    let merged = merge(&Record::new(), record, record);
    assert_eq!(&merged.record, record);
}
