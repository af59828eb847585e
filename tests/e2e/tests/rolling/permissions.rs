//! Members that may not write, or not even read, what their group remembers.

use super::fixture::{Member, id};
use super::fleet::Fleet;
use super::group_state::STATE;
use farm_harness::{Acl, Scratch, eventually, holds_for};
use serde_json::json;
use std::time::Duration;

const MEMBERS: usize = 3;
const A_WHILE: Duration = Duration::from_millis(400);

/// Starts members of a group whose state exists and is locked like that.
fn start(test: &str, acl: Acl) -> Fleet {
    let mut fleet = Fleet::with_room(test, MEMBERS, 0, |member: Member| member);
    fleet.group.zk.add_auth("farmer:secret").unwrap();
    for path in ["/_zkexec", STATE, &format!("{STATE}/members"), &format!("{STATE}/versions")] {
        fleet.group.zk.create(path, "").unwrap();
    }
    fleet.group.zk.create(&format!("{STATE}/control"), r#"{"v":1}"#).unwrap();
    for path in ["/members", "/versions", "/control", ""].map(|below| format!("{STATE}{below}")) {
        fleet.group.zk.set_acl(&path, acl).unwrap();
    }
    fleet.group.zk.set_acl("/_zkexec", acl).unwrap();
    for who in 0..MEMBERS {
        fleet.launch(who);
        fleet.group.observer.wait_up(who, "v1");
    }
    fleet
}

/// Expects one warning of each member about what it may not do.
#[track_caller]
fn assert_one_warning(fleet: &Fleet) {
    for running in &fleet.running {
        let log = running.stderr();
        let warnings: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("WARN") && line.contains("not authorised"))
            .collect();
        assert_eq!(warnings.len(), 1, "{log}");
    }
}

/// Expects that bad content pauses the group as it does without any state: the holder keeps the
/// lock, and the others wait.
#[track_caller]
fn assert_as_before(fleet: &mut Fleet) {
    fleet.group.publish("bad fails");
    let holder = fleet.wait_start(&[0, 1, 2], "bad");
    let pid = Some(fleet.running[holder].pid());
    fleet.group.wait_queue("all are in line, the one that failed first", |queue| {
        queue.len() == MEMBERS && queue[0].pid == pid
    });
    fleet.holds_back(A_WHILE, "bad", &[holder].into());
    fleet.group.publish("good");
    for who in 0..MEMBERS {
        fleet.group.wait_healthy_on(who, "good");
    }
    fleet.group.wait_queue_empty();
}

#[test]
fn who_may_not_write_warns_once_and_takes_its_turns_as_before() {
    let mut fleet = start("who_may_not_write_warns_once", Acl::ReadOnly);
    fleet.group.publish("new");
    for who in 0..MEMBERS {
        fleet.group.wait_healthy_on(who, "new");
    }
    fleet.group.wait_queue_empty();
    assert_as_before(&mut fleet);
    assert_one_warning(&fleet);
    assert_eq!(fleet.group.told_by(&id(0)), serde_json::Value::Null);
    assert!(fleet.group.zk.children(&format!("{STATE}/versions")).unwrap().is_empty());
}

#[test]
fn who_may_not_even_read_warns_once_and_takes_its_turns_as_before() {
    let mut fleet = start("who_may_not_even_read_warns_once", Acl::Mine);
    assert_as_before(&mut fleet);
    assert_one_warning(&fleet);
}

#[test]
fn who_may_not_even_create_the_state_takes_its_turns_as_before() {
    let test = "who_may_not_even_create_the_state";
    let mut fleet = Fleet::with_room(test, MEMBERS, 0, |member: Member| member);
    fleet.group.zk.create("/_zkexec", "").unwrap();
    fleet.group.zk.set_acl("/_zkexec", Acl::ReadOnly).unwrap();
    for who in 0..MEMBERS {
        fleet.launch(who);
        fleet.group.observer.wait_up(who, "v1");
    }
    assert_as_before(&mut fleet);
    assert_one_warning(&fleet);
    assert_eq!(fleet.group.zk.exists(STATE).unwrap(), None);
}

#[test]
fn who_may_only_read_honours_a_refusal() {
    let mut fleet = start("who_may_only_read_honours_a_refusal", Acl::MineToWrite);
    fleet.group.tell("bad fails", &json!({"v": 1, "verdict": "refused", "reason": "it crashes"}));
    fleet.group.publish("bad fails");
    for running in &fleet.running {
        running.wait_log("the group has refused version ");
    }
    assert_nobody_moves(&mut fleet, "bad");
    fleet.group.publish("good");
    for who in 0..MEMBERS {
        fleet.group.wait_healthy_on(who, "good");
    }
    fleet.group.wait_queue_empty();
    assert_one_warning(&fleet);
}

#[test]
fn who_may_only_read_honours_what_operators_want() {
    let mut fleet = start("who_may_only_read_honours_operators", Acl::MineToWrite);
    fleet.group.control(|control| control["paused"] = true.into());
    fleet.group.publish("new");
    assert_nobody_moves(&mut fleet, "new");
    fleet.group.control(|control| control["paused"] = false.into());
    for who in 0..MEMBERS {
        fleet.group.wait_healthy_on(who, "new");
    }
    fleet.group.wait_queue_empty();
    fleet.group.raise_restart();
    eventually("each child is restarted", || {
        let counts = fleet.start_counts("new");
        if counts == [2; MEMBERS] { Ok(()) } else { Err(format!("{counts:?}")) }
    });
    fleet.group.wait_queue_empty();
    assert_one_warning(&fleet);
}

#[test]
fn the_state_of_a_group_with_credentials_is_its_own_and_others_have_theirs() {
    let test = "the_state_of_a_group_with_credentials";
    let scratch = Scratch::new();
    let path = scratch.write("auth", "digest:farmer:secret\n").display().to_string();
    let with_credentials =
        |member: Member| member.more(&["--auth-file", &path, "--acl", "creator"]);
    let mut fleet = Fleet::with_room(test, 2, 0, with_credentials);
    fleet.group.zk.add_auth("farmer:secret").unwrap();
    for who in [0, 1] {
        fleet.launch(who);
        fleet.group.wait_state(who, "running");
    }
    fleet.publish_to_all("new");
    assert_eq!(fleet.group.zk.get_acl("/_zkexec").unwrap(), ["world:anyone:cdrwa"]);
    for below in ["", "/members", "/members/m0", "/versions"] {
        let acl = fleet.group.zk.get_acl(&format!("{STATE}{below}")).unwrap();
        let is_ours = |entry: &String| entry.starts_with("digest:farmer:");
        assert!(acl.len() == 1 && acl.iter().all(is_ours), "{below}: {acl:?}");
    }
    fleet.group.rollout(&["pause", "web"]).code(77);
    let zkctl = fleet.group.rollout_tool(&["pause", "web", "--acl", "creator"]);
    zkctl.env("ZK_AUTH_FILE", &path).run().ok();
    fleet.group.publish("newer");
    for who in [0, 1] {
        fleet.group.wait_state(who, "paused");
    }
    // Others can have groups too.
    fleet.group.new_client().create("/_zkexec/other", "").unwrap();
}

/// Expects that nobody takes a turn on this version, or waits for one.
#[track_caller]
fn assert_nobody_moves(fleet: &mut Fleet, version: &str) {
    holds_for(A_WHILE, "nobody tries it", || {
        let reached = fleet.reached_by(version);
        let queue = fleet.group.queue();
        let is_quiet = reached.is_empty() && queue.is_empty();
        if is_quiet { Ok(()) } else { Err(format!("{reached:?} {queue:?}")) }
    });
}
