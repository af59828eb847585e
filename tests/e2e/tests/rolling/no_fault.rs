//! Trouble that is not the fault of the new content fails a turn, or holds it up, and refuses
//! nothing; and members that have no content.

use super::fixture::{GroupFixture, Member};
use super::fleet::Fleet;
use super::group_state::{STATE, record};
use farm_harness::{Running, Signal, Tool, Zk, ZkError, eventually_within, holds_for};
use serde_json::Value;
use std::time::Duration;

const A_WHILE: Duration = Duration::from_millis(300);

/// What the group knows of all versions.
#[track_caller]
fn verdicts(zk: &mut Zk) -> Vec<Value> {
    let path = format!("{STATE}/versions");
    let names = match zk.children(&path) {
        Ok(names) => names,
        Err(ZkError::NoNode) => Vec::new(),
        Err(error) => panic!("{error}"),
    };
    names.iter().filter_map(|name| record(zk, &format!("{path}/{name}"))).collect()
}

#[test]
fn a_file_that_cannot_be_written_refuses_nothing() {
    let two_files = |member: Member| member.keeping().more(&["-m", "extra=/extra"]);
    let mut fleet = Fleet::with_room("a_file_that_cannot_be_written", 3, 0, two_files);
    fleet.group.zk.create("/extra", "1").unwrap();
    for who in 0..3 {
        fleet.launch(who);
        fleet.group.wait_state(who, "running");
    }
    // A directory is in the way of the file.
    let path = fleet.group.scratch.join("0/extra");
    std::fs::remove_file(&path).unwrap();
    fleet.group.scratch.write("0/extra/file", "");
    for other in [1, 2] {
        fleet.running[other].signal(Signal::SIGSTOP);
    }
    fleet.group.zk.set("/extra", "2").unwrap();
    fleet.group.wait_state(0, "failed");
    for other in [1, 2] {
        fleet.running[other].signal(Signal::SIGCONT);
        fleet.group.wait_state(other, "waiting");
    }
    holds_for(A_WHILE, "nobody is restarted, and nothing is known", || {
        let known = verdicts(&mut fleet.group.zk);
        let is_quiet = known.iter().all(|known| known["tries"] == 0);
        let counts = fleet.start_counts("v1");
        if is_quiet && counts == [1, 1, 1] { Ok(()) } else { Err(format!("{known:?} {counts:?}")) }
    });
    std::fs::remove_dir_all(&path).unwrap();
    for who in 0..3 {
        eventually_within(Duration::from_secs(30), "it has the new content", || {
            let text = fleet.group.scratch.read(format!("{who}/extra"))?;
            if text == "2" { Ok(()) } else { Err(text) }
        });
        fleet.group.wait_state(who, "running");
    }
    fleet.group.wait_queue_empty();
    let known = verdicts(&mut fleet.group.zk);
    assert!(known.len() == 1 && known[0]["verdict"] == "confirmed", "{known:?}");
}

#[test]
fn a_farm_that_can_spare_nobody_refuses_nothing() {
    let careful = |member: Member| member.keeping().more(&["--require-healthy", "/farm:1"]);
    let mut fleet = Fleet::with_room("a_farm_that_can_spare_nobody", 2, 0, careful);
    fleet.group.zk.create("/farm", r#"{"size":3,"running_filter":"enabled=1"}"#).unwrap();
    for (host, enabled) in [("a", 1), ("b", 1), ("c", 0)] {
        let record = format!("{{\"enabled\":{enabled}}}");
        fleet.group.zk.create(&format!("/farm/{host}"), record).unwrap();
    }
    for who in [0, 1] {
        fleet.launch(who);
        fleet.group.wait_state(who, "running");
    }
    fleet.publish_to_first(0, "new");
    fleet.group.wait_state(0, "blocked");
    fleet.group.wait_state(1, "waiting");
    assert_eq!(fleet.group.verdict("new")["tries"].as_u64().unwrap_or_default(), 0);
    fleet.group.zk.set("/farm/c", r#"{"enabled":1}"#).unwrap();
    fleet.wait_all_on("new");
}

#[test]
fn members_without_mirrors_are_restarted_and_waited_for() {
    let mut group = GroupFixture::new("members_without_mirrors", 2);
    let args = ["-c", &group.servers(), "--session-timeout", "4s", "-l", "web", "-d", "300ms"];
    let start = |who: usize| -> Running {
        group.scratch.write(format!("{who}/conf"), "v1");
        let tool = Tool::new("zkexec").args(args).args(["--name", &super::fixture::id(who)]);
        let child = ["--", "sh", "../child.sh", &who.to_string()];
        let running = tool.args(child).cwd(group.scratch.join(who.to_string())).spawn();
        group.observer.wait_up(who, "v1");
        running
    };
    let _running = [0, 1].map(start);
    for who in [0, 1] {
        group.wait_state(who, "running");
    }
    group.rollout(&["wait", "web", "--for", "10s"]).ok();
    group.rollout(&["restart", "web"]).ok();
    group.rollout(&["wait", "web", "--for", "20s"]).ok();
    for who in [0, 1] {
        assert_eq!(group.observer.down_count(who), 1);
    }
    assert_eq!(verdicts(&mut group.zk), Vec::<Value>::new());
}

#[test]
fn a_restart_at_an_hour_that_does_not_count_is_done_at_once() {
    let mut fleet = Fleet::start("a_restart_at_an_hour", 2, super::steering::off_hours);
    fleet.group.rollout(&["restart", "web"]).ok();
    for who in [0, 1] {
        fleet.group.wait_state(who, "off-hours");
    }
    fleet.group.rollout(&["resume", "web", "--ignore-hours", "1h"]).ok();
    fleet.group.rollout(&["wait", "web", "--for", "1m"]).ok();
    assert_eq!(fleet.start_counts("v1"), [2, 2]);
    fleet.group.control(|control| control["ignore_hours_until"] = 0.into());
    fleet.group.rollout(&["restart", "web", "--ignore-hours", "1h"]).ok();
    fleet.group.rollout(&["wait", "web", "--for", "1m"]).ok();
    assert_eq!(fleet.start_counts("v1"), [3, 3]);
}
