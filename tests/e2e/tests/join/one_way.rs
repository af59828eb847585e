//! `--one-way`: the config is read and never written.

use super::fixture::{ENTRY, JoinFixture, hostname, record};
use farm_harness::{Create, Ensemble, FaultProxy, Signal, eventually, holds_for};
use serde_json::json;
use std::fs;
use std::time::Duration;

#[test]
fn it_wins_over_what_is_left_over_and_an_absent_one_stays_absent() {
    let mut fixture = JoinFixture::new("one_way_start");
    fixture.zk.create("/farm", "").unwrap();
    let mut former = fixture.new_client();
    let left = json!({"a": "old", "hostname": hostname()}).to_string();
    former.create_as(ENTRY, left, Create::Ephemeral).unwrap();
    let running = fixture.join("db.json", &["--one-way"]);
    fixture.wait_record(json!({}));
    holds_for(Duration::from_millis(300), "no config is made", || {
        if fixture.scratch.join("db.json").exists() { Err("it is there") } else { Ok(()) }
    });
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    fixture.wait_record(json!({"a": 1}));
    // Removing the config removes no field.
    fs::remove_file(fixture.scratch.join("db.json")).unwrap();
    running.wait_log_times("there is no config", 2);
    fixture.wait_record(json!({"a": 1}));
}

#[test]
fn a_malformed_one_keeps_the_last_good_record() {
    let mut fixture = JoinFixture::new("one_way_bad");
    fixture.scratch.write("db.yaml", "a: [");
    let running = fixture.join("db.yaml", &["--import"]);
    fixture.wait_record(json!({}));
    fixture.replace("db.yaml", "a: 1\n");
    fixture.wait_record(json!({"a": 1}));
    fixture.replace("db.yaml", "a: {");
    running.wait_log_times("the config is left alone", 2);
    fixture.zk.delete(ENTRY).unwrap();
    fixture.wait_record(json!({"a": 1}));
    fixture.zk.set(ENTRY, "nonsense").unwrap();
    fixture.wait_record(json!({"a": 1}));
    assert_eq!(fixture.scratch.read("db.yaml").unwrap(), "a: {");
}

#[test]
fn a_remote_edit_stands_over_an_outage_and_not_over_the_end_of_the_session() {
    let mut fixture = JoinFixture::new("one_way_outage");
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let tool = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "db.json").arg("--one-way");
    let mut running = tool.spawn();
    running.wait_log("joined; ");
    fixture.edit(|record| record["a"] = json!("remote"));
    proxy.cut();
    running.wait_log("connected again");
    running.signal(Signal::SIGHUP);
    holds_for(Duration::from_millis(500), "it stands", || {
        let found = record(&mut fixture.zk, ENTRY)?;
        if found["a"] == "remote" { Ok(()) } else { Err(found.to_string()) }
    });
    proxy.expire().unwrap();
    fixture.wait_record(json!({"a": 1}));
    assert_eq!(fixture.scratch.read("db.json").unwrap(), r#"{"a": 1}"#);
}

#[test]
fn the_last_of_many_edits_is_published_whoever_writes_beside_it() {
    let mut fixture = JoinFixture::new("one_way_storm");
    fixture.scratch.write("db.json", r#"{"a": 0}"#);
    let _running = fixture.join("db.json", &["--one-way"]);
    let mut other = fixture.new_client();
    for round in 1..=100 {
        fixture.replace("db.json", &json!({"a": round}).to_string());
        super::fixture::edit(&mut other, ENTRY, |record| record["x"] = json!(round));
    }
    eventually("the last edit", || match record(&mut fixture.zk, ENTRY)? {
        found if found["a"] == json!(100) => Ok(()),
        found => Err(found.to_string()),
    });
    // The next local edit replaces the fields of the other writer.
    fixture.replace("db.json", r#"{"a": 101}"#);
    fixture.wait_record(json!({"a": 101}));
}

#[test]
fn the_command_runs_at_the_start_alone() {
    let mut fixture = JoinFixture::new("one_way_command");
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    let log = fixture.scratch.join("log").display().to_string();
    let command = format!("echo $ZK_EVENT >> {log}");
    let _running = fixture.join("db.json", &["--one-way", "--changed-cmd", &command]);
    fixture.wait_file("log", "start\n");
    fixture.edit(|record| record["b"] = json!(1));
    fixture.replace("db.json", r#"{"a": 2}"#);
    fixture.wait_record(json!({"a": 2}));
    holds_for(Duration::from_millis(300), "one run", || match fixture.scratch.read("log")? {
        text if text == "start\n" => Ok(()),
        text => Err(text),
    });
}
