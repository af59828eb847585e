//! Properties of every record: neither the codecs nor the merge lose anything.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod records;

use farm_core::codec::{ConfText, decode, encode_farm, encode_record, json};
use farm_core::model::{FieldPath, Map, Record, Value, merge};
use fastrand::Rng;

const SEEDS: u64 = 2000;

/// Runs a check once per seed, and names the seed that fails.
fn for_each_seed(check: impl Fn(&mut Rng) + std::panic::RefUnwindSafe) {
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| check(&mut Rng::with_seed(seed)));
        assert!(outcome.is_ok(), "failed with seed {seed}");
    }
}

fn merged(base: &Record, local: &Record, remote: &Record) -> Record {
    let outcome = merge(base, local, remote);
    assert_eq!(outcome.conflicts, [], "{base:?} {local:?} {remote:?}");
    outcome.record
}

#[test]
fn znode_bytes_read_back_and_are_equal_for_equal_records() {
    for_each_seed(|rng| {
        let record = records::record(rng);
        let bytes = json::encode_znode(&record);
        let back = json::decode_znode(&bytes).unwrap();
        assert_eq!(back, record);
        assert_eq!(json::encode_znode(&back), bytes);
        assert!(!bytes.contains(&b'\n'));
    });
}

#[test]
fn files_read_back_as_the_record_they_were_written_from() {
    for_each_seed(|rng| {
        let record = records::record(rng);
        for format in [ConfText::Json, ConfText::Yaml] {
            let bytes = encode_record(format, &record).unwrap();
            let back = decode(format, &bytes)
                .unwrap_or_else(|error| panic!("{error:?}\n{}", String::from_utf8_lossy(&bytes)));
            assert_eq!(back, record, "\n{}", String::from_utf8_lossy(&bytes));
            assert!(bytes.ends_with(b"\n"));
        }
    });
}

#[test]
fn a_farm_reads_as_an_object_of_its_records() {
    for_each_seed(|rng| {
        let farm = records::farm(rng);
        let hosts = farm.iter().map(|(name, record)| {
            (name.to_string(), Value::Object(record.unpack().as_map().clone()))
        });
        let wanted = Record::from_map(hosts.collect::<Map<_, _>>());
        for format in [ConfText::Json, ConfText::Yaml] {
            let bytes = encode_farm(format, &farm).unwrap();
            let back = decode(format, &bytes).unwrap();
            assert_eq!(back, wanted, "\n{}", String::from_utf8_lossy(&bytes));
        }
    });
}

#[test]
fn every_hostile_text_survives_as_key_and_as_value() {
    let long = "word ".repeat(1000) + "$'\"\n";
    for text in records::HOSTILE_TEXTS.iter().copied().chain([long.as_str()]) {
        let map = Map::from_iter([(text.to_owned(), Value::from(text))]);
        let list = Value::from(vec![Value::from(text), Value::Object(map.clone())]);
        let record = Record::from_map(Map::from_iter([
            (text.to_owned(), Value::from(text)),
            ("inner".to_owned(), Value::Object(map)),
            ("list".to_owned(), list),
        ]));
        for format in [ConfText::Json, ConfText::Yaml] {
            let bytes = encode_record(format, &record).unwrap();
            let back = decode(format, &bytes).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
            assert_eq!(back, record, "\n{}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    for_each_seed(|rng| {
        let record = records::record(rng);
        for format in [ConfText::Json, ConfText::Yaml] {
            let mut bytes = encode_record(format, &record).unwrap();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..bytes.len());
                match rng.u8(0..3) {
                    0 => bytes[at] = rng.u8(..),
                    1 => bytes.truncate(at + 1),
                    _ => bytes.insert(at, *rng.choice(b"{}[]:,\"'\\-&*!<#\n\t ").unwrap()),
                }
            }
            // The bytes may be valid or not; a record that is decoded can be encoded.
            if let Ok(record) = decode(format, &bytes) {
                encode_record(format, &record).unwrap();
            }
        }
    });
}

#[test]
fn a_field_is_found_where_the_leaves_say() {
    for_each_seed(|rng| {
        let record = records::record(rng);
        let mut rebuilt = Record::new();
        for (field, value) in record.leaves() {
            assert_eq!(record.get(&field), Some(value));
            let parsed = FieldPath::parse(&field.to_string()).unwrap();
            assert_eq!(parsed, field);
            rebuilt.set(&parsed, value.clone()).unwrap();
        }
        assert_eq!(rebuilt, record);
    });
}

#[test]
fn a_side_that_changed_nothing_takes_the_other() {
    for_each_seed(|rng| {
        let base = records::record(rng);
        let other = edited(rng, &base, "");
        assert_eq!(merged(&base, &base, &other), other);
        assert_eq!(merged(&base, &other, &base), other);
        assert_eq!(merged(&base, &other, &other), other);
        let (left, right) = (records::record(rng), records::record(rng));
        assert_eq!(merge(&base, &left, &right).record, checked_merge(&base, &left, &right));
    });
}

#[test]
fn changes_to_different_fields_all_survive() {
    for_each_seed(|rng| {
        let base = records::record(rng);
        let fields: Vec<FieldPath> =
            base.leaves().into_iter().map(|(field, _)| field.clone()).collect();
        let (mut local, mut remote) = (base.clone(), base.clone());
        let (mut for_local, mut for_remote) = (Vec::new(), Vec::new());
        for field in fields {
            let value = rng.bool().then(|| Value::from(rng.u64(..)));
            let (side, edits) = match rng.u8(0..3) {
                0 => (&mut local, &mut for_local),
                1 => (&mut remote, &mut for_remote),
                _ => continue,
            };
            side.unset(&field);
            if let Some(value) = &value {
                side.set(&field, value.clone()).unwrap();
            }
            edits.push((field, value));
        }
        for (side, name) in [(&mut local, "added here"), (&mut remote, "added there")] {
            side.set(&FieldPath::from_keys(vec![name.to_owned()]), Value::from(name)).unwrap();
        }
        let outcome = merged(&base, &local, &remote);
        for (field, value) in for_local.into_iter().chain(for_remote) {
            assert_eq!(outcome.get(&field), value.as_ref(), "{field}");
        }
        for name in ["added here", "added there"] {
            let field = FieldPath::from_keys(vec![name.to_owned()]);
            assert_eq!(outcome.get(&field), Some(&Value::from(name)));
        }
    });
}

/// `base` with some fields changed, removed and added.
fn edited(rng: &mut Rng, base: &Record, above: &str) -> Record {
    let mut map = base.as_map().clone();
    map.retain(|_, _| rng.u8(0..4) > 0);
    for value in map.values_mut() {
        match value {
            Value::Object(inner) if above.len() < 8 => {
                let inner_record = Record::from_map(std::mem::take(inner));
                *inner = edited(rng, &inner_record, &format!("{above}.")).into_map();
            }
            other if rng.bool() => *other = Value::from(records::text(rng)),
            _ => {}
        }
    }
    map.extend(records::record(rng).into_map());
    Record::from_map(map)
}

/// Checks the rule for fields at the top that are not objects: a field that the remote
/// side changed ends as the remote one, any other as the local one.
fn checked_merge(base: &Record, local: &Record, remote: &Record) -> Record {
    let outcome = merge(base, local, remote).record;
    let (base, local, remote) = (base.as_map(), local.as_map(), remote.as_map());
    for key in base.keys().chain(local.keys()).chain(remote.keys()) {
        let (base, local, remote) = (base.get(key), local.get(key), remote.get(key));
        let has_object = [base, local, remote].iter().flatten().any(|value| value.is_object());
        if !has_object {
            let wanted = if remote == base { local } else { remote };
            assert_eq!(outcome.as_map().get(key), wanted, "{key:?}");
        }
    }
    outcome
}
