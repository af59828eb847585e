//! Simultaneous local and remote edits.

use super::fixture::{JoinFixture, edit};
use farm_harness::{Signal, eventually};
use serde_json::{Value, json};

/// In every round both sides edit a field at the same time, and both edits must arrive.
fn race(fixture: &mut JoinFixture, mut edit_local: impl FnMut(&JoinFixture, usize) + Send) {
    for round in 1..=100 {
        let mut remote = fixture.new_client();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                edit(&mut remote, super::fixture::ENTRY, |record| record["r"] = json!(round));
            });
            edit_local(fixture, round);
        });
        let is_there = |record: &Value| {
            let number = |name: &str| {
                record[name].as_str().map_or_else(|| record[name].to_string(), str::to_owned)
            };
            number("l") == round.to_string() && number("r") == round.to_string()
        };
        eventually(&format!("both edits of round {round} are in the znode"), || {
            let found = super::fixture::record(&mut fixture.zk, super::fixture::ENTRY)?;
            if is_there(&found) { Ok(()) } else { Err(found.to_string()) }
        });
    }
}

/// Waits until no displaced file is left: their edits are merged by then.
fn nothing_is_hidden(fixture: &JoinFixture, folder: &str) {
    eventually("no hidden file is left", || {
        let names = std::fs::read_dir(fixture.scratch.join(folder)).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().into_string().unwrap());
        let hidden: Vec<_> = names.filter(|name| name.starts_with('.')).collect();
        if hidden.is_empty() { Ok(()) } else { Err(hidden.join(" ")) }
    });
}

#[test]
fn a_hundred_simultaneous_edits_in_place_of_a_json_file_all_survive() {
    let mut fixture = JoinFixture::new("race_in_place");
    fixture.scratch.write("db.json", r#"{"l": 0, "r": 0}"#);
    let running = fixture.join("db.json", &[]);
    race(&mut fixture, |fixture, round| {
        let mut record = eventually("a whole file", || fixture.json("db.json"));
        record["l"] = json!(round);
        fixture.scratch.write("db.json", record.to_string());
    });
    fixture.wait_json("db.json", json!({"l": 100, "r": 100}));
    nothing_is_hidden(&fixture, "");
    assert!(!running.stderr().contains("is lost"), "{}", running.stderr());
}

#[test]
fn a_hundred_simultaneous_edits_of_a_directory_all_survive() {
    let mut fixture = JoinFixture::new("race_dir");
    fixture.dir(&[("l", "0"), ("r", "0"), ("still", "s")]);
    let running = fixture.join("conf", &[]);
    race(&mut fixture, |fixture, round| {
        drop(fixture.scratch.write("conf/l", format!("{round}\n")));
    });
    fixture.wait_file("conf/r", "100");
    fixture.wait_file("conf/l", "100\n");
    fixture.wait_file("conf/still", "s");
    nothing_is_hidden(&fixture, "conf");
    assert!(!running.stderr().contains("is lost"), "{}", running.stderr());
}

#[test]
fn a_hundred_simultaneous_edits_of_a_json_file_all_survive() {
    let mut fixture = JoinFixture::new("race_json");
    fixture.scratch.write("db.json", r#"{"l": 0, "r": 0, "still": "s"}"#);
    let running = fixture.join("db.json", &[]);
    race(&mut fixture, |fixture, round| {
        // As an editor does: reads the file, changes a field and replaces the file.
        let mut record = eventually("a whole file", || fixture.json("db.json"));
        record["l"] = json!(round);
        fixture.replace("db.json", &record.to_string());
    });
    fixture.wait_json("db.json", json!({"l": 100, "r": 100, "still": "s"}));
    nothing_is_hidden(&fixture, "");
    assert!(!running.stderr().contains("is lost"), "{}", running.stderr());
}

#[test]
fn of_two_edits_of_one_field_the_remote_one_stands_and_both_are_logged() {
    let mut fixture = JoinFixture::new("conflict");
    fixture.dir(&[("f", "0"), ("l", "0"), ("gone", "0")]);
    let mut running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"f": "0", "l": "0", "gone": "0"}));
    running.signal(Signal::SIGSTOP);
    fixture.scratch.write("conf/f", "from here");
    fixture.scratch.write("conf/l", "1");
    fixture.scratch.write("conf/gone", "kept here");
    fixture.edit(|record| {
        record["f"] = json!("from there");
        record.as_object_mut().unwrap().remove("gone");
    });
    running.signal(Signal::SIGCONT);
    fixture.wait_record(json!({"f": "from there", "l": "1"}));
    fixture.wait_file("conf/f", "from there");
    fixture.wait_removed("conf/gone");
    let lost = "the remote value stands, the local one is lost; field=";
    running.wait_log(&format!("{lost}f remote=\"from there\" local=\"from here\""));
    running.wait_log(&format!("{lost}gone remote=none local=\"kept here\""));
    assert_eq!(running.stderr().matches("is lost").count(), 2, "{}", running.stderr());
}

#[test]
fn a_thousand_quick_edits_end_in_the_last_one() {
    let mut fixture = JoinFixture::new("storm");
    fixture.dir(&[("f", "0")]);
    let running = fixture.join("conf", &[]);
    for round in 1..=1000 {
        fixture.scratch.write("conf/f", round.to_string());
    }
    fixture.wait_record(json!({"f": "1000"}));
    for round in 1..=300 {
        fixture.edit(|record| record["f"] = json!(format!("r{round}")));
    }
    fixture.wait_file("conf/f", "r300");
    fixture.wait_record(json!({"f": "r300"}));
    // Once both sides agree, nothing is written.
    let version = fixture.zk.get(super::fixture::ENTRY).unwrap().stat.version;
    let published = || running.stderr().matches("published").count();
    let inode = |fixture: &JoinFixture| {
        std::os::unix::fs::MetadataExt::ino(&fixture.scratch.join("conf/f").metadata().unwrap())
    };
    let before = (inode(&fixture), version, published());
    farm_harness::holds_for(std::time::Duration::from_secs(1), "nothing is written", || {
        let now = fixture.zk.get(super::fixture::ENTRY).unwrap().stat.version;
        let now = (inode(&fixture), now, published());
        if now == before { Ok(()) } else { Err(running.stderr()) }
    });
}
