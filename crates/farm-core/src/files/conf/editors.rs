//! How editors save the fields of a directory, and what that means for the record.

use super::*;
use crate::model::{FieldPath, Value};
use farm_harness::{Scratch, eventually};
use serde_json::json;
use std::fs;
use std::time::Duration;

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);

fn record(value: &Value) -> Record {
    Record::from_map(value.as_object().unwrap().clone())
}

/// A directory with two fields, of which names settle after `quiet`.
fn dir_conf(scratch: &Scratch, quiet: Duration) -> Conf {
    scratch.write("conf/enabled", "0");
    scratch.write("conf/other", "0");
    let mut conf = Conf::new(scratch.join("conf"), ConfFormat::Dir).settling(quiet);
    assert_eq!(conf.load().unwrap().record, record(&json!({"enabled": "0", "other": "0"})));
    conf
}

/// One step of a save: it gets the directory, and the new value of the field `enabled`.
type Step = fn(&Scratch, &str);

fn rename(scratch: &Scratch, from: &str, to: &str) {
    fs::rename(scratch.join("conf").join(from), scratch.join("conf").join(to)).unwrap();
}

fn remove(scratch: &Scratch, name: &str) {
    fs::remove_file(scratch.join("conf").join(name)).unwrap();
}

/// vim with `backupcopy=auto` and `writebackup`.
const BY_RENAMING: [Step; 5] = [
    |scratch, _| drop(scratch.write("conf/4913", "")),
    |scratch, _| remove(scratch, "4913"),
    |scratch, _| rename(scratch, "enabled", "enabled~"),
    |scratch, value| drop(scratch.write("conf/enabled", value)),
    |scratch, _| remove(scratch, "enabled~"),
];
/// vim with `backupcopy=yes`.
const BY_COPYING: [Step; 3] = [
    |scratch, _| {
        fs::copy(scratch.join("conf/enabled"), scratch.join("conf/enabled~")).unwrap();
    },
    |scratch, value| drop(scratch.write("conf/enabled", value)),
    |scratch, _| remove(scratch, "enabled~"),
];
/// `sed -i`, and emacs after an auto-save.
const WITH_OTHER_NAMES: [Step; 4] = [
    |scratch, value| drop(scratch.write("conf/#enabled#", value)),
    |scratch, value| drop(scratch.write("conf/sedO6uFrP", value)),
    |scratch, _| rename(scratch, "sedO6uFrP", "enabled"),
    |scratch, _| remove(scratch, "#enabled#"),
];

#[test]
fn twenty_five_saves_are_twenty_five_values_and_no_field_comes_or_goes() {
    for steps in [&BY_RENAMING[..], &BY_COPYING, &WITH_OTHER_NAMES] {
        let scratch = Scratch::new();
        let mut conf = dir_conf(&scratch, NEVER);
        let mut seen = vec![record(&json!({"enabled": "0", "other": "0"}))];
        for save in 1..=25 {
            let value = save.to_string();
            for step in steps {
                step(&scratch, &value);
                let found = conf.load().unwrap().record;
                if seen.last() != Some(&found) {
                    seen.push(found);
                }
            }
        }
        let value = |save: i32| record(&json!({"enabled": save.to_string(), "other": "0"}));
        assert_eq!(seen, (0..=25).map(value).collect::<Vec<_>>());
    }
}

#[test]
fn a_field_that_stays_or_stays_away_is_taken_after_a_while() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch, Duration::from_millis(50));
    scratch.write("conf/new", "1");
    scratch.write("conf/o/x", "1");
    remove(&scratch, "other");
    let wanted = record(&json!({"enabled": "0", "new": "1", "o": {"x": "1"}}));
    eventually("they are taken", || {
        let loaded = conf.load().map_err(|e| e.to_string())?;
        match loaded.again {
            None if loaded.record == wanted => Ok(()),
            again => Err(format!("{again:?} {:?}", loaded.record)),
        }
    });
    fs::remove_dir_all(scratch.join("conf")).unwrap();
    conf.load().unwrap_err();
    fs::create_dir(scratch.join("conf")).unwrap();
    eventually("all are gone", || match conf.load() {
        Ok(loaded) if loaded.record == Record::new() => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_store_leaves_alone_what_has_just_appeared_or_vanished() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch, NEVER);
    rename(&scratch, "enabled", "renamed");
    let before = conf.load().unwrap().record;
    assert_eq!(before, record(&json!({"enabled": "0", "other": "0"})));
    // A change of another field neither brings back the one nor removes the other.
    let wanted = record(&json!({"enabled": "0", "other": "1"}));
    assert_eq!(conf.store(&wanted).unwrap(), Stored::Written);
    assert_eq!(conf.load().unwrap().record, wanted);
    assert_eq!(scratch.read("conf/other").unwrap(), "1");
    assert!(!scratch.join("conf/enabled").exists() && scratch.join("conf/renamed").exists());
    // A change of such a field has to wait.
    let wanted = record(&json!({"enabled": "9", "other": "2", "renamed": "9"}));
    assert_eq!(conf.store(&wanted).unwrap(), Stored::Unsettled { is_written: true });
    assert!(!scratch.join("conf/enabled").exists());
    assert_eq!(scratch.read("conf/renamed").unwrap(), "0");
    assert_eq!(scratch.read("conf/other").unwrap(), "2");
    assert_eq!(conf.load().unwrap().record, record(&json!({"enabled": "0", "other": "2"})));
    rename(&scratch, "renamed", "enabled");
    let is = conf.load().unwrap();
    assert_eq!((is.record, is.again), (record(&json!({"enabled": "0", "other": "2"})), None));
    assert_eq!(conf.store(&record(&json!({"enabled": "9"}))).unwrap(), Stored::Written);
}

#[test]
fn what_we_store_ourselves_is_taken_at_once() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch, NEVER);
    for wanted in [
        json!({"enabled": "0", "other": "0", "o": {"x": "1", "y": "2"}}),
        json!({"enabled": {"a": "1"}, "o": {"y": "2"}}),
        json!({}),
        json!({"other": "0"}),
    ] {
        assert_eq!(conf.store(&record(&wanted)).unwrap(), Stored::Written);
        let loaded = conf.load().unwrap();
        assert_eq!((loaded.record, loaded.again), (record(&wanted), None));
    }
}

#[test]
fn a_field_with_the_name_of_a_backup_has_no_file_and_stays_in_the_record() {
    let scratch = Scratch::new();
    let mut conf = dir_conf(&scratch, Duration::ZERO);
    scratch.write("conf/other~", "left");
    let mut wanted = record(&json!({"enabled": "0", "other": "0", "other~": "1", "4913": "2"}));
    assert_eq!(conf.store(&wanted).unwrap(), Stored::Unchanged);
    assert_eq!(scratch.read("conf/other~").unwrap(), "left");
    assert!(!scratch.join("conf/4913").exists());
    assert_eq!(conf.load().unwrap().record, wanted);
    wanted.unset(&FieldPath::parse("other~").unwrap());
    conf.store(&wanted).unwrap();
    assert_eq!(conf.load().unwrap().record, wanted);
    assert_eq!(scratch.read("conf/other~").unwrap(), "left");
}
