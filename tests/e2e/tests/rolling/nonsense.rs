//! What others write into the state of a group, and what becomes of it.

use super::fixture::Member;
use super::fleet::Fleet;
use super::group_state::{STATE, version_of};
use farm_harness::{eventually, holds_for};
use std::time::Duration;

const MEMBERS: usize = 2;
const A_WHILE: Duration = Duration::from_millis(300);

/// What is no record, or one with fields that are not what they should be.
fn nonsense() -> Vec<Vec<u8>> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let skips: Vec<String> = (0..20_000).map(|id| format!("\"m{id}x\":\"0123456789ab\"")).collect();
    let texts = [
        String::new(),
        "null".to_owned(),
        "[1]".to_owned(),
        "{".to_owned(),
        "\u{1b}[31m".to_owned(),
        deep,
        r#"{"v":1,"verdict":"\u0000\u001b[31m","by":7,"tries":-1,"trials":{},"round":1e400}"#
            .to_owned(),
        r#"{"v":1,"verdict":"great","tries":99,"trials":[[],7,{"id":1}]}"#.to_owned(),
        r#"{"v":1,"paused":"yes","restart":-1,"retry":"x","skip":["m0"],"at":"now"}"#.to_owned(),
        r#"{"v":1,"paused":0,"restart":1.5,"skip":{"m0":"not a version","m1":7}}"#.to_owned(),
        format!("{{\"v\":1,\"skip\":{{{}}}}}", skips.join(",")),
    ];
    let mut all: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    all.push(vec![0xff; 1000]);
    all
}

#[test]
fn what_is_no_command_is_none() {
    let mut fleet = Fleet::start("what_is_no_command_is_none", MEMBERS, |member| member);
    let path = format!("{STATE}/control");
    fleet.group.zk.create(&path, "{}").unwrap();
    for (round, bytes) in nonsense().into_iter().enumerate() {
        fleet.group.zk.set(&path, bytes).unwrap();
        fleet.publish_to_all(&format!("new{round}"));
        assert_eq!(fleet.start_counts(&format!("new{round}")), [1; MEMBERS], "{round}");
    }
}

#[test]
fn what_is_no_verdict_is_none() {
    let mut fleet = Fleet::start("what_is_no_verdict_is_none", MEMBERS, |member| member);
    for (round, bytes) in nonsense().into_iter().enumerate() {
        let content = format!("new{round}");
        let path = format!("{STATE}/versions/{}", version_of(&content));
        match fleet.group.zk.create(&path, &bytes) {
            Ok(()) => {}
            Err(farm_harness::ZkError::NoNode) => fleet.group.zk.create_all(&path, bytes).unwrap(),
            Err(error) => panic!("{error}"),
        }
        fleet.publish_to_all(&content);
        assert_eq!(fleet.start_counts(&content), [1; MEMBERS], "{round}");
        assert_eq!(fleet.group.verdict(&content)["verdict"], "confirmed");
    }
}

#[test]
fn a_reason_that_somebody_wrote_cannot_steer_a_terminal() {
    let mut fleet = Fleet::start("a_reason_that_somebody_wrote", MEMBERS, |member| member);
    let reason = "\u{1b}[2J\u{7}\nforged line";
    let known = serde_json::json!({
        "v": 1, "verdict": "refused", "reason": reason, "by": "\u{1b}[31m\nx",
    });
    fleet.group.tell("bad", &known);
    fleet.group.publish("bad");
    for running in &fleet.running {
        running.wait_log("the group has refused version ");
        let log = running.stderr();
        assert!(!log.contains('\u{1b}') && !log.contains('\u{7}'), "{log:?}");
        assert!(!log.lines().any(|line| line.starts_with("forged")), "{log:?}");
    }
    for args in [&["status", "web"][..], &["history", "web"], &["wait", "web", "--for", "5s"]] {
        let output = fleet.group.rollout(args);
        let all = output.text() + &output.stderr;
        assert!(!all.contains('\u{1b}') && !all.contains('\u{7}'), "{all:?}");
        assert!(!all.lines().any(|line| line.starts_with("forged")), "{all:?}");
    }
}

#[test]
fn a_state_that_is_deleted_by_hand_is_made_again() {
    let mut fleet = Fleet::start("a_state_that_is_deleted_by_hand", MEMBERS, Member::keeping);
    for round in 0..3 {
        fleet.publish_to_all(&format!("good{round}"));
        fleet.group.zk.delete_recursive("/_zkexec").unwrap();
        for who in 0..MEMBERS {
            fleet.group.wait_state(who, "running");
        }
        let bad = format!("bad{round} fails");
        fleet.group.publish(&bad);
        let known = fleet.group.wait_verdict(&bad, "refused");
        let holder = fleet.position(&known["by"]);
        fleet.group.wait_state(1 - holder, "refused");
        // Who deletes a refusal has it tried again by the others, like any new content.
    }
    fleet.publish_to_all("good");
}

#[test]
fn sixteen_versions_are_kept_and_those_in_use() {
    let mut fleet = Fleet::start("sixteen_versions_are_kept", MEMBERS, |member| member);
    for round in 0..20 {
        fleet.publish_to_all(&format!("new{round}"));
    }
    let kept = fleet.group.zk.children(&format!("{STATE}/versions")).unwrap();
    let mut newest: Vec<String> = (4..20).map(|round| version_of(&format!("new{round}"))).collect();
    newest.sort();
    assert_eq!(kept, newest);
}

#[test]
fn a_member_that_is_deleted_by_hand_tells_again_what_it_does() {
    let mut fleet = Fleet::start("a_member_that_is_deleted_by_hand", 1, |member| member);
    for _ in 0..5 {
        fleet.group.zk.delete(&format!("{STATE}/members/m0")).unwrap();
        fleet.group.wait_state(0, "running");
    }
    // It does so once, and is quiet then.
    let stat = |fleet: &mut Fleet| {
        let stat = fleet.group.zk.exists(&format!("{STATE}/members/m0")).unwrap();
        stat.map(|stat| (stat.czxid, stat.version))
    };
    let before = eventually("it is there", || stat(&mut fleet).ok_or("it is not"));
    holds_for(A_WHILE, "it stays as it is", || {
        let now = stat(&mut fleet);
        if now == Some(before) { Ok(()) } else { Err(format!("{now:?} {before:?}")) }
    });
}

#[test]
fn a_restart_is_done_though_the_group_has_forgotten_the_ones_before() {
    let mut fleet = Fleet::start("a_restart_is_done_though_forgotten", MEMBERS, |member| member);
    for round in 1..=2 {
        fleet.group.rollout(&["restart", "web"]).ok();
        fleet.group.rollout(&["wait", "web", "--for", "1m"]).ok();
        assert_eq!(fleet.start_counts("v1"), [1 + round; MEMBERS]);
    }
    fleet.group.zk.delete_recursive(STATE).unwrap();
    for who in 0..MEMBERS {
        fleet.group.wait_state(who, "running");
    }
    fleet.group.rollout(&["restart", "web"]).ok();
    fleet.group.rollout(&["wait", "web", "--for", "1m"]).ok();
    assert_eq!(fleet.start_counts("v1"), [4; MEMBERS]);
}
