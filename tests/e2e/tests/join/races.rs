//! Both sides edit at once.

use super::stage::{Stage, edit};
use farm_harness::{Signal, eventually};
use serde_json::{Value, json};

/// Every round edits one field on each side at the same time; all must end on both.
fn race(stage: &mut Stage, mut edit_local: impl FnMut(&Stage, usize) + Send) {
    for round in 1..=100 {
        let mut remote = stage.observer();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                edit(&mut remote, super::stage::ENTRY, |record| record["r"] = json!(round));
            });
            edit_local(stage, round);
        });
        let is_there = |record: &Value| {
            let number = |name: &str| {
                record[name].as_str().map_or_else(|| record[name].to_string(), str::to_owned)
            };
            number("l") == round.to_string() && number("r") == round.to_string()
        };
        eventually(&format!("both edits of round {round} are in the znode"), || {
            let found = super::stage::record(&mut stage.zk, super::stage::ENTRY)?;
            if is_there(&found) { Ok(()) } else { Err(found.to_string()) }
        });
    }
}

#[test]
fn a_hundred_simultaneous_edits_of_a_directory_all_survive() {
    let mut stage = Stage::new("race_dir");
    stage.dir(&[("l", "0"), ("r", "0"), ("still", "s")]);
    let running = stage.join("conf", &[]);
    race(&mut stage, |stage, round| drop(stage.scratch.write("conf/l", format!("{round}\n"))));
    stage.file_says("conf/r", "100");
    stage.file_says("conf/l", "100\n");
    stage.file_says("conf/still", "s");
    assert!(!running.stderr().contains("is lost"), "{}", running.stderr());
}

#[test]
fn a_hundred_simultaneous_edits_of_a_json_file_all_survive() {
    let mut stage = Stage::new("race_json");
    stage.scratch.write("db.json", r#"{"l": 0, "r": 0, "still": "s"}"#);
    let running = stage.join("db.json", &[]);
    race(&mut stage, |stage, round| {
        // As an editor does: read, change one field, rename into place.
        let mut record = eventually("a whole file", || stage.json("db.json"));
        record["l"] = json!(round);
        stage.replace("db.json", &record.to_string());
    });
    stage.json_says("db.json", json!({"l": 100, "r": 100, "still": "s"}));
    assert!(!running.stderr().contains("is lost"), "{}", running.stderr());
}

#[test]
fn of_two_edits_of_one_field_the_remote_one_stands_and_both_are_logged() {
    let mut stage = Stage::new("conflict");
    stage.dir(&[("f", "0"), ("l", "0"), ("gone", "0")]);
    let mut running = stage.join("conf", &[]);
    stage.sees(json!({"f": "0", "l": "0", "gone": "0"}));
    running.signal(Signal::SIGSTOP);
    stage.scratch.write("conf/f", "from here");
    stage.scratch.write("conf/l", "1");
    stage.scratch.write("conf/gone", "kept here");
    stage.edit(|record| {
        record["f"] = json!("from there");
        record.as_object_mut().unwrap().remove("gone");
    });
    running.signal(Signal::SIGCONT);
    stage.sees(json!({"f": "from there", "l": "1"}));
    stage.file_says("conf/f", "from there");
    stage.is_gone("conf/gone");
    let lost = "the remote value stands, the local one is lost; field=";
    running.wait_log(&format!("{lost}f remote=\"from there\" local=\"from here\""));
    running.wait_log(&format!("{lost}gone remote=none local=\"kept here\""));
    assert_eq!(running.stderr().matches("is lost").count(), 2, "{}", running.stderr());
}

#[test]
fn a_thousand_quick_edits_end_in_the_last_one() {
    let mut stage = Stage::new("storm");
    stage.dir(&[("f", "0")]);
    let running = stage.join("conf", &[]);
    for round in 1..=1000 {
        stage.scratch.write("conf/f", round.to_string());
    }
    stage.sees(json!({"f": "1000"}));
    for round in 1..=300 {
        stage.edit(|record| record["f"] = json!(format!("r{round}")));
    }
    stage.file_says("conf/f", "r300");
    stage.sees(json!({"f": "r300"}));
    // Nothing is written back and forth once both sides agree.
    let version = stage.zk.get(super::stage::ENTRY).unwrap().stat.version;
    let published = || running.stderr().matches("published").count();
    let inode = |stage: &Stage| {
        std::os::unix::fs::MetadataExt::ino(&stage.scratch.join("conf/f").metadata().unwrap())
    };
    let before = (inode(&stage), version, published());
    farm_harness::steadily(std::time::Duration::from_secs(1), "peace", || {
        let now = stage.zk.get(super::stage::ENTRY).unwrap().stat.version;
        let now = (inode(&stage), now, published());
        if now == before { Ok(()) } else { Err(running.stderr()) }
    });
}
