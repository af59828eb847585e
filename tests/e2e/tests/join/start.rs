//! What is there, or not, when it starts; and what goes missing later.

use super::stage::{ENTRY, Stage, hostname, record};
use farm_harness::{Create, Signal, eventually, patience, steadily};
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(4);

#[test]
fn an_absent_config_is_created() {
    let mut stage = Stage::new("absent_dir");
    let _running = stage.join("conf", &["-f", "dir"]);
    stage.file_says("conf/hostname", &hostname());
    stage.scratch.write("conf/a", "1");
    stage.sees(json!({"a": "1"}));

    let mut stage = Stage::new("absent_json");
    let _running = stage.join("db.json", &[]);
    stage.json_says("db.json", json!({}));
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    stage.sees(json!({"a": 1}));
}

#[test]
fn a_config_that_is_malformed_at_the_start_shows_only_the_hostname() {
    let mut stage = Stage::new("malformed_start");
    stage.scratch.write("db.json", "{\"a\": 1");
    let running = stage.join("db.json", &[]);
    assert_eq!(stage.record(), json!({"hostname": hostname()}));
    stage.edit(|record| record["r"] = json!(1));
    stage.scratch.write("db.json", "{\"a\": 1,");
    running.wait_log_times("left alone", 2);
    steadily(Duration::from_millis(300), "the file is left alone", || {
        let text = stage.scratch.read("db.json")?;
        if text == "{\"a\": 1," { Ok(()) } else { Err(text) }
    });
    stage.replace("db.json", "{\"a\": 1}");
    stage.sees(json!({"a": 1, "r": 1}));
    stage.json_says("db.json", json!({"a": 1, "r": 1}));
    assert_eq!(running.stderr().matches("left alone").count(), 2, "{}", running.stderr());
}

#[test]
fn a_config_that_gets_malformed_keeps_the_znode_and_merges_when_it_is_mended() {
    let mut stage = Stage::new("malformed_later");
    stage.scratch.write("db.json", r#"{"a": 1, "b": 1}"#);
    let running = stage.join("db.json", &[]);
    stage.json_says("db.json", json!({"a": 1, "b": 1}));
    stage.scratch.write("db.json", r#"{"a": 2, "#);
    running.wait_log("the config is left alone");
    stage.edit(|record| record["b"] = json!(2));
    steadily(Duration::from_millis(300), "nothing moves", || {
        let text = stage.scratch.read("db.json")?;
        let record = record(&mut stage.zk, ENTRY)?;
        let is_still = text == r#"{"a": 2, "# && record["a"] == 1 && record["b"] == 2;
        if is_still { Ok(()) } else { Err(format!("{text} {record}")) }
    });
    stage.replace("db.json", &json!({"a": 2, "b": 1, "hostname": hostname()}).to_string());
    stage.sees(json!({"a": 2, "b": 2}));
    stage.json_says("db.json", json!({"a": 2, "b": 2}));
    // An empty file is no empty record.
    stage.scratch.write("db.json", "");
    running.wait_log_times("the config is left alone", 2);
    assert_eq!(stage.record()["a"], json!(2));
}

#[test]
fn a_config_file_that_is_deleted_takes_nothing_from_the_znode() {
    let mut stage = Stage::new("deleted_conf");
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    let running = stage.join("db.json", &[]);
    stage.json_says("db.json", json!({"a": 1}));
    fs::remove_file(stage.scratch.join("db.json")).unwrap();
    running.wait_log("there is no config");
    assert_eq!(stage.record(), json!({"a": 1, "hostname": hostname()}));
    // News from the other side bring it back, whole.
    stage.edit(|record| record["b"] = json!(2));
    stage.json_says("db.json", json!({"a": 1, "b": 2}));
}

#[test]
fn a_znode_deleted_by_hand_is_back_at_once() {
    let mut stage = Stage::new("deleted_znode");
    stage.dir(&[("a", "1")]);
    let running = stage.join("conf", &[]);
    for round in 1..=20 {
        let before = stage.zk.get(ENTRY).unwrap().stat;
        stage.zk.delete(ENTRY).unwrap();
        let start = std::time::Instant::now();
        eventually("the znode is back", || match stage.zk.get(ENTRY) {
            Ok(znode) if znode.stat.czxid > before.czxid => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert!(
            start.elapsed() < patience(Duration::from_secs(1)),
            "round {round}: {:?}",
            start.elapsed()
        );
    }
    stage.sees(json!({"a": "1"}));
    running.wait_log("joined again; ");
}

#[test]
fn a_farm_that_is_deleted_as_a_whole_is_back_at_once() {
    let mut stage = Stage::new("deleted_farm");
    stage.dir(&[("a", "1")]);
    let _running = stage.join("conf", &[]);
    for _ in 0..5 {
        // The host may be back before the farm is gone.
        stage.zk.delete_recursive("/farm").unwrap_or_default();
        stage.sees(json!({"a": "1"}));
    }
    eventually("it has a size", || match record(&mut stage.zk, "/farm")?["size"].as_u64() {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_malformed_znode_is_repaired_and_the_config_left_alone() {
    let mut stage = Stage::new("malformed_znode");
    stage.dir(&[("a", "1\n")]);
    let running = stage.join("conf", &[]);
    let deep = "[".repeat(100_000);
    for nonsense in ["", "nonsense", "[1]", "{\"a\":", "\u{0}", "{\"a\":1,\"a\":", &deep] {
        // No bytes are the empty record: every field was removed.
        if nonsense.is_empty() {
            continue;
        }
        stage.zk.set(ENTRY, nonsense).unwrap();
        stage.sees(json!({"a": "1"}));
    }
    stage.file_says("conf/a", "1\n");
    running.wait_log_times("is malformed", 6);
    assert_eq!(running.stderr().matches("is malformed").count(), 6, "{}", running.stderr());
    stage.zk.set(ENTRY, "").unwrap();
    stage.sees(json!({}));
    stage.is_gone("conf/a");
}

#[test]
fn a_crash_and_a_restart_never_show_the_host_missing() {
    let mut stage = Stage::new("left_over");
    stage.dir(&[("a", "1")]);
    stage.zk.create("/farm", "").unwrap();
    let mut first = stage.join("conf", &[]);
    stage.edit(|record| record["number"] = json!(7));
    stage.file_says("conf/number", "7");
    let old = stage.zk.get(ENTRY).unwrap().stat;
    let mut poller = stage.observer();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut looks, mut missing) = (0_u32, 0_u32);
            while !is_over.load(Ordering::Relaxed) {
                let names = poller.children("/farm").unwrap();
                looks += 1;
                missing += u32::from(names != ["host"]);
            }
            (looks, missing)
        });
        first.kill9();
        let second = stage.join("conf", &[]);
        let new = stage.zk.get(ENTRY).unwrap().stat;
        assert_ne!(new.ephemeral_owner, old.ephemeral_owner, "{}", second.stderr());
        // The old session ends meanwhile.
        steadily(TIMEOUT * 2 + Duration::from_millis(500), "the znode of the new one", || {
            match stage.zk.get(ENTRY) {
                Ok(znode) if znode.stat.czxid == new.czxid => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        is_over.store(true, Ordering::Relaxed);
        let (looks, missing) = watch.join().unwrap();
        assert!(looks > 100, "only {looks} looks");
        assert_eq!(missing, 0, "of {looks} looks");
        // The type came from the znode that was left over.
        stage.sees(json!({"a": "1", "number": 7}));
        assert!(!second.stderr().contains("taken"), "{}", second.stderr());
    });
}

#[test]
fn a_left_over_is_replaced_as_a_whole_and_what_it_said_is_logged() {
    let mut stage = Stage::new("overruled");
    stage.dir(&[("a", "new"), ("same", "s")]);
    stage.zk.create("/farm", "").unwrap();
    let mut ghost = stage.observer();
    let left = json!({"a": "old", "same": "s", "only": {"there": 5}, "hostname": hostname()});
    ghost.create_as(ENTRY, left.to_string(), Create::Ephemeral).unwrap();
    let running = stage.join("conf", &[]);
    stage.sees(json!({"a": "new", "same": "s"}));
    assert!(!stage.scratch.join("conf/only").exists());
    running.wait_log_times("field=", 2);
    let log = running.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("field=")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines.iter().all(|line| !line.contains("the remote value stands")), "{log}");
    assert!(log.contains(r#"field=a"#) && log.contains(r#""old""#) && log.contains(r#""new""#));
    assert!(log.contains("field=only.there") && log.contains('5'), "{log}");
}

#[test]
fn a_clean_restart_starts_over() {
    let mut stage = Stage::new("clean_restart");
    stage.dir(&[("a", "1")]);
    let mut running = stage.join("conf", &[]);
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    assert_eq!(stage.zk.exists(ENTRY).unwrap(), None);
    stage.scratch.write("conf/a", "2");
    let _running = stage.join("conf", &[]);
    stage.sees(json!({"a": "2"}));
}
