//! The record that all hosts share, and the config that is only read.

use super::stage::{Stage, edit, record};
use farm_harness::{Running, Signal, Tool, eventually, steadily};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const COMMON: &str = "/farm/common";

pub(super) fn share(stage: &Stage, servers: &str, conf: &str) -> Running {
    share_with(stage, servers, conf, &[])
}

pub(super) fn share_with(stage: &Stage, servers: &str, conf: &str, more: &[&str]) -> Running {
    let tool = Tool::new("zkjoin").args(["-H", servers, "--session-timeout", "4s", "-c", "/farm"]);
    tool.arg(stage.scratch.join(conf)).args(more).spawn()
}

#[track_caller]
pub(super) fn shows(stage: &mut Stage, path: &str, wanted: &Value) {
    eventually(&format!("{path} holds {wanted}"), || match record(&mut stage.zk, path)? {
        found if found == *wanted => Ok(()),
        found => Err(found.to_string()),
    });
}

#[test]
fn what_all_share_wins_at_the_start_and_stays_when_they_are_gone() {
    let mut stage = Stage::new("common");
    stage.scratch.write("one.json", r#"{"a": "mine", "only": "here"}"#);
    stage.zk.create_all(COMMON, r#"{"a":"theirs","n":1}"#).unwrap();
    let mut running = share(&stage, &stage.servers(), "one.json");
    eventually("the config is replaced", || match stage.json("one.json")? {
        found if found == json!({"a": "theirs", "n": 1}) => Ok(()),
        found => Err(found.to_string()),
    });
    running.wait_log("field=a remote=\"theirs\" local=\"mine\"");
    running.wait_log("field=only remote=none local=\"here\"");
    stage.replace("one.json", r#"{"a": "edited", "n": 1}"#);
    shows(&mut stage, COMMON, &json!({"a": "edited", "n": 1}));
    edit(&mut stage.zk, COMMON, |record| record["n"] = json!(2));
    eventually("the remote edit arrives", || match stage.json("one.json")? {
        found if found == json!({"a": "edited", "n": 2}) => Ok(()),
        found => Err(found.to_string()),
    });
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    let znode = stage.zk.get(COMMON).unwrap();
    assert_eq!((znode.text().as_str(), znode.stat.ephemeral_owner), (r#"{"a":"edited","n":2}"#, 0));
    assert_eq!(stage.zk.get("/farm").unwrap().text(), "", "no host, no size");
}

#[test]
fn nonsense_in_what_all_share_is_left_alone_with_an_error() {
    let mut stage = Stage::new("common_malformed");
    stage.scratch.write("one.json", r#"{"a": 1}"#);
    let mut running = share(&stage, &stage.servers(), "one.json");
    shows(&mut stage, COMMON, &json!({"a": 1}));
    stage.zk.set(COMMON, "nonsense").unwrap();
    running.wait_log("malformed");
    stage.replace("one.json", r#"{"a": 2}"#);
    steadily(Duration::from_millis(300), "it is left alone", || {
        let text = stage.zk.get(COMMON).unwrap().text();
        if text == "nonsense" { Ok(()) } else { Err(text) }
    });
    // Mended by somebody, it is what both sides go on with.
    stage.zk.set(COMMON, r#"{"a":1,"b":1}"#).unwrap();
    shows(&mut stage, COMMON, &json!({"a": 2, "b": 1}));
    assert!(running.is_running());
}

#[test]
fn a_deleted_common_is_back_from_the_config() {
    let mut stage = Stage::new("common_deleted");
    stage.scratch.write("one.json", r#"{"a": 1}"#);
    let _running = share(&stage, &stage.servers(), "one.json");
    shows(&mut stage, COMMON, &json!({"a": 1}));
    stage.zk.delete(COMMON).unwrap();
    shows(&mut stage, COMMON, &json!({"a": 1}));
}

#[test]
fn one_way_never_writes_the_config_and_lets_remote_edits_stand() {
    let mut stage = Stage::new("one_way");
    let text = r#"{"a": 1,  "b": 1}"#;
    stage.scratch.write("one.json", text);
    let _running = stage.join("one.json", &["--one-way"]);
    stage.sees(json!({"a": 1, "b": 1}));
    stage.edit(|record| record["b"] = json!("remote"));
    steadily(Duration::from_millis(300), "the remote edit stands", || {
        let found = record(&mut stage.zk, super::stage::ENTRY)?;
        let is_right = found["b"] == "remote" && stage.scratch.read("one.json")? == text;
        if is_right { Ok(()) } else { Err(found.to_string()) }
    });
    stage.replace("one.json", r#"{"a": 2, "b": 1}"#);
    stage.sees(json!({"a": 2, "b": 1}));
    stage.zk.delete(super::stage::ENTRY).unwrap();
    stage.sees(json!({"a": 2, "b": 1}));
    assert_eq!(stage.scratch.read("one.json").unwrap(), r#"{"a": 2, "b": 1}"#);
}

#[test]
fn the_command_runs_at_the_start_and_after_remote_changes_only() {
    let mut stage = Stage::new("changed_cmd");
    stage.dir(&[("a", "1"), ("hostname", &super::stage::hostname())]);
    let log = stage.scratch.join("log").display().to_string();
    let command = format!("echo $ZK_EVENT $ZK_PATH $(cat $ZK_FILE/a) >> {log}");
    let _running = stage.join("conf", &["--changed-cmd", &command]);
    stage.file_says("log", "start /farm/host 1\n");
    stage.scratch.write("conf/a", "2");
    stage.sees(json!({"a": "2"}));
    stage.edit(|record| record["a"] = json!("3"));
    stage.file_says("log", "start /farm/host 1\nchange /farm/host 3\n");
}
