//! The config is read and never written.

use super::stage::{ENTRY, Stage, hostname, record};
use farm_harness::{Create, Ensemble, FaultProxy, Signal, eventually, steadily};
use serde_json::json;
use std::fs;
use std::time::Duration;

#[test]
fn it_wins_over_what_is_left_over_and_an_absent_one_stays_absent() {
    let mut stage = Stage::new("one_way_start");
    stage.zk.create("/farm", "").unwrap();
    let mut ghost = stage.observer();
    let left = json!({"a": "old", "hostname": hostname()}).to_string();
    ghost.create_as(ENTRY, left, Create::Ephemeral).unwrap();
    let running = stage.join("db.json", &["--one-way"]);
    stage.sees(json!({}));
    steadily(Duration::from_millis(300), "no config is made", || {
        if stage.scratch.join("db.json").exists() { Err("it is there") } else { Ok(()) }
    });
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    stage.sees(json!({"a": 1}));
    // Gone again, it takes nothing with it.
    fs::remove_file(stage.scratch.join("db.json")).unwrap();
    running.wait_log_times("there is no config", 2);
    stage.sees(json!({"a": 1}));
}

#[test]
fn a_malformed_one_keeps_the_last_good_record() {
    let mut stage = Stage::new("one_way_bad");
    stage.scratch.write("db.yaml", "a: [");
    let running = stage.join("db.yaml", &["--import"]);
    stage.sees(json!({}));
    stage.replace("db.yaml", "a: 1\n");
    stage.sees(json!({"a": 1}));
    stage.replace("db.yaml", "a: {");
    running.wait_log_times("the config is left alone", 2);
    stage.zk.delete(ENTRY).unwrap();
    stage.sees(json!({"a": 1}));
    stage.zk.set(ENTRY, "nonsense").unwrap();
    stage.sees(json!({"a": 1}));
    assert_eq!(stage.scratch.read("db.yaml").unwrap(), "a: {");
}

#[test]
fn a_remote_edit_stands_over_an_outage_and_not_over_the_end_of_the_session() {
    let mut stage = Stage::new("one_way_outage");
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let tool = stage.zkjoin_at(&stage.servers_at(proxy.addr()), "db.json").arg("--one-way");
    let mut running = tool.spawn();
    running.wait_log("joined; ");
    stage.edit(|record| record["a"] = json!("remote"));
    proxy.cut();
    running.wait_log("connected again");
    running.signal(Signal::SIGHUP);
    steadily(Duration::from_millis(500), "it stands", || {
        let found = record(&mut stage.zk, ENTRY)?;
        if found["a"] == "remote" { Ok(()) } else { Err(found.to_string()) }
    });
    proxy.expire().unwrap();
    stage.sees(json!({"a": 1}));
    assert_eq!(stage.scratch.read("db.json").unwrap(), r#"{"a": 1}"#);
}

#[test]
fn the_last_of_many_edits_is_published_whoever_writes_beside_it() {
    let mut stage = Stage::new("one_way_storm");
    stage.scratch.write("db.json", r#"{"a": 0}"#);
    let _running = stage.join("db.json", &["--one-way"]);
    let mut other = stage.observer();
    for round in 1..=100 {
        stage.replace("db.json", &json!({"a": round}).to_string());
        super::stage::edit(&mut other, ENTRY, |record| record["x"] = json!(round));
    }
    eventually("the last edit", || match record(&mut stage.zk, ENTRY)? {
        found if found["a"] == json!(100) => Ok(()),
        found => Err(found.to_string()),
    });
    // Nothing of the other writer outlives the next local edit.
    stage.replace("db.json", r#"{"a": 101}"#);
    stage.sees(json!({"a": 101}));
}

#[test]
fn the_command_runs_at_the_start_alone() {
    let mut stage = Stage::new("one_way_command");
    stage.scratch.write("db.json", r#"{"a": 1}"#);
    let log = stage.scratch.join("log").display().to_string();
    let command = format!("echo $ZK_EVENT >> {log}");
    let _running = stage.join("db.json", &["--one-way", "--changed-cmd", &command]);
    stage.file_says("log", "start\n");
    stage.edit(|record| record["b"] = json!(1));
    stage.replace("db.json", r#"{"a": 2}"#);
    stage.sees(json!({"a": 2}));
    steadily(Duration::from_millis(300), "one run", || match stage.scratch.read("log")? {
        text if text == "start\n" => Ok(()),
        text => Err(text),
    });
}
