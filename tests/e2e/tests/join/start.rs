//! Configs and znodes that are missing or malformed at the start or later.

use super::fixture::{ENTRY, JoinFixture, hostname, record};
use farm_harness::{Create, Signal, eventually, holds_for, patience};
use serde_json::json;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(4);

#[test]
fn an_absent_config_is_created() {
    let mut fixture = JoinFixture::new("absent_dir");
    let _running = fixture.join("conf", &["-f", "dir"]);
    fixture.wait_file("conf/hostname", &hostname());
    fixture.scratch.write("conf/a", "1");
    fixture.wait_record(json!({"a": "1"}));

    let mut fixture = JoinFixture::new("absent_json");
    let _running = fixture.join("db.json", &[]);
    fixture.wait_json("db.json", json!({}));
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    fixture.wait_record(json!({"a": 1}));
}

#[test]
fn a_byte_order_mark_is_neither_data_nor_a_reason_to_write() {
    let mut fixture = JoinFixture::new("marked_json");
    let marked = |a: i32| format!("\u{feff}{{\"a\": {a}}}");
    fixture.scratch.write("db.json", marked(1));
    let _running = fixture.join("db.json", &["--no-hostname"]);
    fixture.wait_exact_record(&json!({"a": 1}));
    fixture.replace("db.json", &marked(2));
    fixture.wait_exact_record(&json!({"a": 2}));
    holds_for(Duration::from_millis(300), "the file is left alone", || {
        let text = fixture.scratch.read("db.json")?;
        if text == marked(2) { Ok(()) } else { Err(text) }
    });
    fixture.zk.set(ENTRY, "\u{feff}{\"a\": 2, \"r\": 3}").unwrap();
    let wanted = json!({"a": 2, "r": 3});
    eventually("the remote edit is in the file", || match fixture.json("db.json") {
        Ok(found) if found == wanted => Ok(()),
        other => Err(format!("{other:?}")),
    });

    let mut fixture = JoinFixture::new("marked_dir");
    fixture.dir(&[("a", "\u{feff}1\r\n"), ("b", "2")]);
    let _running = fixture.join("conf", &["--no-hostname"]);
    fixture.wait_exact_record(&json!({"a": "1", "b": "2"}));
    fixture.edit(|record| record["b"] = json!("3"));
    fixture.wait_file("conf/b", "3");
    assert_eq!(fixture.scratch.read("conf/a").unwrap(), "\u{feff}1\r\n");
}

#[test]
fn a_config_that_is_malformed_at_the_start_shows_only_the_hostname() {
    let mut fixture = JoinFixture::new("malformed_start");
    fixture.scratch.write("db.json", "{\"a\": 1");
    let running = fixture.join("db.json", &[]);
    assert_eq!(fixture.record(), json!({"hostname": hostname()}));
    fixture.edit(|record| record["r"] = json!(1));
    fixture.scratch.write("db.json", "{\"a\": 1,");
    running.wait_log_times("left alone", 2);
    holds_for(Duration::from_millis(300), "the file is left alone", || {
        let text = fixture.scratch.read("db.json")?;
        if text == "{\"a\": 1," { Ok(()) } else { Err(text) }
    });
    fixture.replace("db.json", "{\"a\": 1}");
    fixture.wait_record(json!({"a": 1, "r": 1}));
    fixture.wait_json("db.json", json!({"a": 1, "r": 1}));
    assert_eq!(running.stderr().matches("left alone").count(), 2, "{}", running.stderr());
}

#[test]
fn a_config_that_gets_malformed_keeps_the_znode_and_merges_when_it_is_mended() {
    let mut fixture = JoinFixture::new("malformed_later");
    fixture.scratch.write("db.json", r#"{"a": 1, "b": 1}"#);
    let running = fixture.join("db.json", &[]);
    fixture.wait_json("db.json", json!({"a": 1, "b": 1}));
    fixture.scratch.write("db.json", r#"{"a": 2, "#);
    running.wait_log("the config is left alone");
    fixture.edit(|record| record["b"] = json!(2));
    holds_for(Duration::from_millis(300), "nothing moves", || {
        let text = fixture.scratch.read("db.json")?;
        let record = record(&mut fixture.zk, ENTRY)?;
        let is_still = text == r#"{"a": 2, "# && record["a"] == 1 && record["b"] == 2;
        if is_still { Ok(()) } else { Err(format!("{text} {record}")) }
    });
    fixture.replace("db.json", &json!({"a": 2, "b": 1, "hostname": hostname()}).to_string());
    fixture.wait_record(json!({"a": 2, "b": 2}));
    fixture.wait_json("db.json", json!({"a": 2, "b": 2}));
    // An empty file is malformed, not an empty record.
    fixture.scratch.write("db.json", "");
    running.wait_log_times("the config is left alone", 2);
    assert_eq!(fixture.record()["a"], json!(2));
}

#[test]
fn a_config_file_that_is_deleted_takes_nothing_from_the_znode() {
    let mut fixture = JoinFixture::new("deleted_conf");
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    let running = fixture.join("db.json", &[]);
    fixture.wait_json("db.json", json!({"a": 1}));
    fs::remove_file(fixture.scratch.join("db.json")).unwrap();
    running.wait_log("there is no config");
    assert_eq!(fixture.record(), json!({"a": 1, "hostname": hostname()}));
    // A remote edit creates the whole file again.
    fixture.edit(|record| record["b"] = json!(2));
    fixture.wait_json("db.json", json!({"a": 1, "b": 2}));
}

#[test]
fn a_znode_deleted_by_hand_is_back_at_once() {
    let mut fixture = JoinFixture::new("deleted_znode");
    fixture.dir(&[("a", "1")]);
    let running = fixture.join("conf", &[]);
    for round in 1..=20 {
        let before = fixture.zk.get(ENTRY).unwrap().stat;
        fixture.zk.delete(ENTRY).unwrap();
        let start = std::time::Instant::now();
        eventually("the znode is back", || match fixture.zk.get(ENTRY) {
            Ok(znode) if znode.stat.czxid > before.czxid => Ok(()),
            other => Err(format!("{other:?}")),
        });
        assert!(
            start.elapsed() < patience(Duration::from_secs(1)),
            "round {round}: {:?}",
            start.elapsed()
        );
    }
    fixture.wait_record(json!({"a": "1"}));
    running.wait_log("joined again; ");
}

#[test]
fn a_farm_that_is_deleted_as_a_whole_is_back_at_once() {
    let mut fixture = JoinFixture::new("deleted_farm");
    fixture.dir(&[("a", "1")]);
    let _running = fixture.join("conf", &[]);
    for _ in 0..5 {
        // Fails if the host joins again meanwhile.
        fixture.zk.delete_recursive("/farm").unwrap_or_default();
        fixture.wait_record(json!({"a": "1"}));
    }
    eventually("it has a size", || match record(&mut fixture.zk, "/farm")?["size"].as_u64() {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

#[test]
fn a_malformed_znode_is_repaired_and_the_config_left_alone() {
    let mut fixture = JoinFixture::new("malformed_znode");
    fixture.dir(&[("a", "1\n")]);
    let running = fixture.join("conf", &[]);
    let deep = "[".repeat(100_000);
    for nonsense in ["", "nonsense", "[1]", "{\"a\":", "\u{0}", "{\"a\":1,\"a\":", &deep] {
        // No bytes mean an empty record, see below.
        if nonsense.is_empty() {
            continue;
        }
        fixture.zk.set(ENTRY, nonsense).unwrap();
        fixture.wait_record(json!({"a": "1"}));
    }
    fixture.wait_file("conf/a", "1\n");
    running.wait_log_times("is malformed", 6);
    assert_eq!(running.stderr().matches("is malformed").count(), 6, "{}", running.stderr());
    fixture.zk.set(ENTRY, "").unwrap();
    fixture.wait_record(json!({}));
    fixture.wait_removed("conf/a");
}

#[test]
fn a_crash_and_a_restart_never_show_the_host_missing() {
    let mut fixture = JoinFixture::new("left_over");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create("/farm", "").unwrap();
    let mut first = fixture.join("conf", &[]);
    fixture.edit(|record| record["number"] = json!(7));
    fixture.wait_file("conf/number", "7");
    let old = fixture.zk.get(ENTRY).unwrap().stat;
    let mut poller = fixture.new_client();
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
        let second = fixture.join("conf", &[]);
        let new = fixture.zk.get(ENTRY).unwrap().stat;
        assert_ne!(new.ephemeral_owner, old.ephemeral_owner, "{}", second.stderr());
        // The old session expires meanwhile.
        holds_for(TIMEOUT * 2 + Duration::from_millis(500), "the znode of the new one", || {
            match fixture.zk.get(ENTRY) {
                Ok(znode) if znode.stat.czxid == new.czxid => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        is_over.store(true, Ordering::Relaxed);
        let (looks, missing) = watch.join().unwrap();
        assert!(looks > 100, "only {looks} looks");
        assert_eq!(missing, 0, "of {looks} looks");
        // The type comes from the znode that was left over.
        fixture.wait_record(json!({"a": "1", "number": 7}));
        assert!(!second.stderr().contains("taken"), "{}", second.stderr());
    });
}

#[test]
fn a_left_over_is_replaced_as_a_whole_and_what_it_said_is_logged() {
    let mut fixture = JoinFixture::new("overruled");
    fixture.dir(&[("a", "new"), ("same", "s")]);
    fixture.zk.create("/farm", "").unwrap();
    let mut former = fixture.new_client();
    let left = json!({"a": "old", "same": "s", "only": {"there": 5}, "hostname": hostname()});
    former.create_as(ENTRY, left.to_string(), Create::Ephemeral).unwrap();
    let running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"a": "new", "same": "s"}));
    assert!(!fixture.scratch.join("conf/only").exists());
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
    let mut fixture = JoinFixture::new("clean_restart");
    fixture.dir(&[("a", "1")]);
    let mut running = fixture.join("conf", &[]);
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    assert_eq!(fixture.zk.exists(ENTRY).unwrap(), None);
    fixture.scratch.write("conf/a", "2");
    let _running = fixture.join("conf", &[]);
    fixture.wait_record(json!({"a": "2"}));
}
