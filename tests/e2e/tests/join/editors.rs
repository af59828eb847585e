//! Editors that save the fields of a directory.

use super::fixture::{ENTRY, JoinFixture};
use farm_harness::{eventually, holds_for};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// The time between two system calls of an editor.
const STEP: Duration = Duration::from_millis(5);
const SAVES: i32 = 25;

/// What an editor does to save a field.
enum Step {
    Create(&'static str),
    /// Writes the new value.
    Save(&'static str),
    Copy(&'static str, &'static str),
    Rename(&'static str, &'static str),
    Remove(&'static str),
}
use Step::{Copy, Create, Remove, Rename, Save};

/// vim with `writebackup`, and with `backupcopy=yes`; `sed -i`.
const EDITORS: [&[Step]; 3] = [
    &[
        Create("4913"),
        Remove("4913"),
        Rename("enabled", "enabled~"),
        Save("enabled"),
        Remove("enabled~"),
    ],
    &[Copy("enabled", "enabled~"), Save("enabled"), Remove("enabled~")],
    &[Save("sedO6uFrP"), Rename("sedO6uFrP", "enabled")],
];

impl Step {
    fn run(&self, fixture: &JoinFixture, value: &str) {
        let at = |name: &str| fixture.scratch.join("conf").join(name);
        match self {
            Create(name) => drop(fs::File::create(at(name)).unwrap()),
            Save(name) => drop(fixture.scratch.write(Path::new("conf").join(name), value)),
            Copy(from, to) => drop(fs::copy(at(from), at(to)).unwrap()),
            Rename(from, to) => fs::rename(at(from), at(to)).unwrap(),
            Remove(name) => fs::remove_file(at(name)).unwrap(),
        }
    }
}

#[test]
fn twenty_five_saves_are_at_most_as_many_writes_and_no_field_comes_or_goes() {
    for editor in EDITORS {
        let mut fixture = JoinFixture::new("editors");
        fixture.dir(&[("enabled", "0"), ("other", "0")]);
        // A machine under load may stop the editor for longer than the default.
        let _running = fixture.join("conf", &["--no-hostname", "--settle", "1s"]);
        let version = |fixture: &mut JoinFixture| fixture.zk.get(ENTRY).unwrap().stat.version;
        let before = version(&mut fixture);
        for save in 1..=SAVES {
            let value = save.to_string();
            for step in editor {
                step.run(&fixture, &value);
                holds_for(STEP, "the fields are the same", || {
                    let record = fixture.record();
                    let names: Vec<_> = record.as_object().unwrap().keys().cloned().collect();
                    if names == ["enabled", "other"] { Ok(()) } else { Err(record.to_string()) }
                });
            }
            eventually("the value is published", || match fixture.record() {
                record if record["enabled"] == json!(value) => Ok(()),
                record => Err(record.to_string()),
            });
        }
        let count = version(&mut fixture) - before;
        assert!(count <= SAVES, "{count} writes");
    }
}

#[test]
fn a_field_that_is_deleted_or_new_is_taken_after_the_time_to_settle() {
    let mut fixture = JoinFixture::new("settling");
    fixture.dir(&[("a", "1"), ("b", "1")]);
    let _running = fixture.join("conf", &["--no-hostname"]);
    fixture.wait_exact_record(&json!({"a": "1", "b": "1"}));
    fs::rename(fixture.scratch.join("conf/a"), fixture.scratch.join("conf/c")).unwrap();
    fixture.wait_exact_record(&json!({"b": "1", "c": "1"}));
    // A remote edit of a field whose file is about to be deleted or created is not lost.
    for round in 0..10 {
        let value = format!("round {round}");
        fs::remove_file(fixture.scratch.join("conf/b")).unwrap();
        fixture.edit(|record| record["b"] = json!(value));
        fixture.wait_exact_record(&json!({"b": value, "c": "1"}));
        fixture.wait_file("conf/b", &value);
    }
}
