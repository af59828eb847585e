//! The record that all hosts share (`--common`), and `--one-way`.

use super::fixture::{JoinFixture, edit, record};
use farm_harness::{Running, Signal, Tool, eventually, holds_for};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const COMMON: &str = "/farm/common";

pub(super) fn join_common(fixture: &JoinFixture, servers: &str, conf: &str) -> Running {
    join_common_with(fixture, servers, conf, &[])
}

pub(super) fn join_common_with(
    fixture: &JoinFixture,
    servers: &str,
    conf: &str,
    more: &[&str],
) -> Running {
    let tool = Tool::new("zkjoin").args(["-H", servers, "--session-timeout", "4s", "-c", "/farm"]);
    tool.arg(fixture.scratch.join(conf)).args(more).spawn()
}

#[track_caller]
pub(super) fn wait_znode(fixture: &mut JoinFixture, path: &str, wanted: &Value) {
    eventually(&format!("{path} holds {wanted}"), || match record(&mut fixture.zk, path)? {
        found if found == *wanted => Ok(()),
        found => Err(found.to_string()),
    });
}

#[test]
fn what_all_share_wins_at_the_start_and_stays_when_they_are_gone() {
    let mut fixture = JoinFixture::new("common");
    fixture.scratch.write("one.json", r#"{"a": "mine", "only": "here"}"#);
    fixture.zk.create_all(COMMON, r#"{"a":"theirs","n":1}"#).unwrap();
    let mut running = join_common(&fixture, &fixture.servers(), "one.json");
    eventually("the config is replaced", || match fixture.json("one.json")? {
        found if found == json!({"a": "theirs", "n": 1}) => Ok(()),
        found => Err(found.to_string()),
    });
    running.wait_log("field=a remote=\"theirs\" local=\"mine\"");
    running.wait_log("field=only remote=none local=\"here\"");
    fixture.replace("one.json", r#"{"a": "edited", "n": 1}"#);
    wait_znode(&mut fixture, COMMON, &json!({"a": "edited", "n": 1}));
    edit(&mut fixture.zk, COMMON, |record| record["n"] = json!(2));
    eventually("the remote edit arrives", || match fixture.json("one.json")? {
        found if found == json!({"a": "edited", "n": 2}) => Ok(()),
        found => Err(found.to_string()),
    });
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    let znode = fixture.zk.get(COMMON).unwrap();
    assert_eq!((znode.text().as_str(), znode.stat.ephemeral_owner), (r#"{"a":"edited","n":2}"#, 0));
    assert_eq!(fixture.zk.get("/farm").unwrap().text(), "", "no host, no size");
}

#[test]
fn nonsense_in_what_all_share_is_left_alone_with_an_error() {
    let mut fixture = JoinFixture::new("common_malformed");
    fixture.scratch.write("one.json", r#"{"a": 1}"#);
    let mut running = join_common(&fixture, &fixture.servers(), "one.json");
    wait_znode(&mut fixture, COMMON, &json!({"a": 1}));
    fixture.zk.set(COMMON, "nonsense").unwrap();
    running.wait_log("malformed");
    fixture.replace("one.json", r#"{"a": 2}"#);
    holds_for(Duration::from_millis(300), "it is left alone", || {
        let text = fixture.zk.get(COMMON).unwrap().text();
        if text == "nonsense" { Ok(()) } else { Err(text) }
    });
    // After a repair, both sides are merged.
    fixture.zk.set(COMMON, r#"{"a":1,"b":1}"#).unwrap();
    wait_znode(&mut fixture, COMMON, &json!({"a": 2, "b": 1}));
    assert!(running.is_running());
}

#[test]
fn a_deleted_common_is_back_from_the_config() {
    let mut fixture = JoinFixture::new("common_deleted");
    fixture.scratch.write("one.json", r#"{"a": 1}"#);
    let _running = join_common(&fixture, &fixture.servers(), "one.json");
    wait_znode(&mut fixture, COMMON, &json!({"a": 1}));
    fixture.zk.delete(COMMON).unwrap();
    wait_znode(&mut fixture, COMMON, &json!({"a": 1}));
}

#[test]
fn one_way_never_writes_the_config_and_lets_remote_edits_stand() {
    let mut fixture = JoinFixture::new("one_way");
    let text = r#"{"a": 1,  "b": 1}"#;
    fixture.scratch.write("one.json", text);
    let _running = fixture.join("one.json", &["--one-way"]);
    fixture.wait_record(json!({"a": 1, "b": 1}));
    fixture.edit(|record| record["b"] = json!("remote"));
    holds_for(Duration::from_millis(300), "the remote edit stands", || {
        let found = record(&mut fixture.zk, super::fixture::ENTRY)?;
        let is_right = found["b"] == "remote" && fixture.scratch.read("one.json")? == text;
        if is_right { Ok(()) } else { Err(found.to_string()) }
    });
    fixture.replace("one.json", r#"{"a": 2, "b": 1}"#);
    fixture.wait_record(json!({"a": 2, "b": 1}));
    fixture.zk.delete(super::fixture::ENTRY).unwrap();
    fixture.wait_record(json!({"a": 2, "b": 1}));
    assert_eq!(fixture.scratch.read("one.json").unwrap(), r#"{"a": 2, "b": 1}"#);
}

#[test]
fn the_command_runs_at_the_start_and_after_remote_changes_only() {
    let mut fixture = JoinFixture::new("changed_cmd");
    fixture.dir(&[("a", "1"), ("hostname", &super::fixture::hostname())]);
    let log = fixture.scratch.join("log").display().to_string();
    let command = format!("echo $ZK_EVENT $ZK_PATH $(cat $ZK_FILE/a) >> {log}");
    let _running = fixture.join("conf", &["--changed-cmd", &command]);
    fixture.wait_file("log", "start /farm/host 1\n");
    fixture.scratch.write("conf/a", "2");
    fixture.wait_record(json!({"a": "2"}));
    fixture.edit(|record| record["a"] = json!("3"));
    fixture.wait_file("log", "start /farm/host 1\nchange /farm/host 3\n");
}
