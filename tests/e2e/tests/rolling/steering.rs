//! What operators want: a pause, a member left out, hours that do not count.

use super::fixture::{Member, id};
use super::fleet::Fleet;
use super::group_state::{TWO_EXPIRIES, rounds};
use super::observer::ChildEvent;
use super::preconditions::hours;
use farm_harness::eventually_within;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MEMBERS: usize = 3;
const A_WHILE: Duration = Duration::from_millis(400);

#[test]
fn a_pause_sends_those_home_who_wait_and_lets_a_turn_under_way_end() {
    let mut fleet = Fleet::start("a_pause_sends_those_home", MEMBERS, |member| member.delay("60s"));
    fleet.close_gates();
    fleet.publish_to_first(0, "new");
    fleet.wait_start(&[0], "new");
    fleet.group.rollout(&["pause", "web"]).ok();
    for who in [1, 2] {
        fleet.group.wait_state(who, "paused");
    }
    let pid = Some(fleet.running[0].pid());
    fleet
        .group
        .wait_queue("only the one under way", |queue| queue.len() == 1 && queue[0].pid == pid);
    fleet.open_gates();
    fleet.group.wait_healthy_on(0, "new");
    fleet.group.wait_queue_empty();
    assert_eq!(fleet.group.verdict("new")["verdict"], "confirmed");
    fleet.holds_back(A_WHILE, "new", &BTreeSet::from([0]));
    fleet.group.rollout(&["resume", "web"]).ok();
    fleet.wait_all_on("new");
}

#[test]
fn a_pause_stops_a_turn_that_has_touched_nothing() {
    let mut fleet = Fleet::with_room("a_pause_stops_a_turn", 1, 0, Member::checked);
    let mut check = fleet.group.gate(0, "check");
    check.open();
    fleet.launch(0);
    fleet.group.wait_state(0, "running");
    let _check = fleet.group.gate_anew(0, "check");
    fleet.group.publish("new");
    fleet.group.observer.wait_event_times(0, 2, &ChildEvent::Checking);
    fleet.group.rollout(&["pause", "web"]).ok();
    fleet.group.wait_state(0, "paused");
    fleet.group.wait_queue_empty();
    assert_eq!((fleet.group.file(0).as_str(), fleet.start_counts("v1")[0]), ("v1", 1));
    // Nothing was tried, so nothing counts.
    let known = fleet.group.verdict("new");
    assert!(known.is_null() || known["tries"] == 0, "{known}");
}

#[test]
fn a_pause_keeps_a_failed_member_from_new_content_too() {
    let mut fleet = Fleet::start("a_pause_keeps_a_failed_member", MEMBERS, Member::keeping);
    fleet.group.publish("bad fails");
    let known = fleet.group.wait_verdict("bad fails", "refused");
    let holder = fleet.position(&known["by"]);
    fleet.group.rollout(&["pause", "web"]).ok();
    for other in fleet.others(holder) {
        fleet.group.wait_state(other, "paused");
    }
    fleet.group.publish("good");
    for who in 0..MEMBERS {
        fleet.group.wait_wanted(who, "good");
    }
    fleet.holds_back(A_WHILE, "good", &BTreeSet::new());
    // It still has the lock, for the sake of members that know of no pause.
    let pid = Some(fleet.running[holder].pid());
    fleet.group.wait_queue("the failed one", |queue| queue.len() == 1 && queue[0].pid == pid);
    fleet.group.rollout(&["resume", "web"]).ok();
    fleet.wait_all_on("good");
}

#[test]
fn a_pause_does_not_keep_a_host_from_booting() {
    let mut fleet = Fleet::with_room("a_pause_and_a_boot", 2, 1, Member::keeping);
    fleet.group.rollout(&["pause", "web"]).ok();
    fleet.launch(1);
    fleet.group.observer.wait_up(1, "v1");
    fleet.group.wait_state(1, "running");
    fleet.group.publish("new");
    for who in [0, 1] {
        fleet.group.wait_state(who, "paused");
    }
    fleet.holds_back(A_WHILE, "new", &BTreeSet::new());
    fleet.group.rollout(&["resume", "web"]).ok();
    fleet.wait_all_on("new");
}

#[test]
fn a_pause_holds_over_a_restart_of_all_members() {
    let mut fleet = Fleet::start("a_pause_holds_over_a_restart", 2, Member::keeping);
    fleet.publish_to_all("good");
    fleet.group.rollout(&["pause", "web"]).ok();
    fleet.group.publish("new");
    for who in [0, 1] {
        fleet.group.wait_state(who, "paused");
        fleet.kill(who);
        fleet.launch(who);
    }
    // A first start goes on, on what is in ZooKeeper.
    for who in [0, 1] {
        fleet.group.observer.wait_up(who, "new");
        fleet.group.wait_state(who, "running");
    }
    fleet.group.publish("newer");
    for who in [0, 1] {
        fleet.group.wait_state(who, "paused");
    }
    fleet.group.rollout(&["resume", "web"]).ok();
    fleet.wait_all_on("newer");
}

#[test]
fn a_failed_member_that_is_left_out_stays_as_it_is_and_the_others_go_on() {
    let mut fleet = Fleet::start("a_failed_member_that_is_left_out", MEMBERS, Member::keeping);
    fleet.group.scratch.write("0/picky", "");
    fleet.publish_to_first(0, "new picky");
    fleet.group.wait_verdict("new picky", "refused");
    fleet.group.wait_state(0, "failed");
    fleet.group.rollout(&["skip", "web", "m0"]).ok();
    for who in [1, 2] {
        fleet.group.wait_healthy_on(who, "new");
        fleet.group.wait_state(who, "running");
    }
    fleet.group.wait_state(0, "skipped");
    fleet.group.wait_queue_empty();
    assert_eq!(fleet.group.verdict("new picky")["verdict"], "confirmed");
    assert_eq!(fleet.starts_on("new").iter().filter(|who| **who == 0).count(), 1);
    assert!(fleet.running[0].is_running());
    fleet.publish_to_all("newer");
}

#[test]
fn what_two_members_refuse_stays_refused_though_one_is_left_out() {
    let mut fleet = Fleet::start("what_two_members_refuse", MEMBERS, Member::keeping);
    for round in 1..=rounds() {
        let (version, content) = (format!("bad{round}"), format!("bad{round} fails"));
        fleet.group.publish(&content);
        let known = fleet.group.wait_verdict(&content, "refused");
        let first = fleet.position(&known["by"]);
        for other in fleet.others(first) {
            fleet.group.wait_state(other, "refused");
        }
        fleet.group.rollout(&["skip", "web", &id(first)]).ok();
        fleet.group.wait_state(first, "skipped");
        let second = fleet.wait_start(&fleet.others(first), &version);
        let known = fleet.group.wait_verdict(&content, "refused");
        assert_eq!(known["by"], id(second), "{known}");
        let third = MEMBERS - first - second;
        fleet.group.wait_state(third, "refused");
        fleet.holds_back(A_WHILE, &version, &BTreeSet::from([first, second]));
        fleet.publish_to_all(&format!("good{round}"));
        assert_eq!(fleet.starts_on(&version), [first, second]);
    }
}

/// The present time and so many milliseconds, as an operator writes it.
fn in_ms(milliseconds: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    (i64::try_from(now).unwrap() + milliseconds).into()
}

pub(super) fn off_hours(member: Member) -> Member {
    member.more(&["--allowed-hours", &hours(2, 4), "--tz", "UTC"])
}

#[test]
fn hours_that_an_operator_ignores_do_not_count_until_then() {
    let mut fleet = Fleet::start("hours_that_an_operator_ignores", 2, off_hours);
    fleet.group.publish("new");
    for who in [0, 1] {
        assert_eq!(fleet.group.wait_state(who, "off-hours")["waits_for"], "hours");
    }
    // A time that has passed changes nothing.
    fleet.group.control(|control| control["ignore_hours_until"] = in_ms(-1000));
    fleet.holds_back(A_WHILE, "new", &BTreeSet::new());
    fleet.group.rollout(&["resume", "web", "--ignore-hours", "1h"]).ok();
    fleet.wait_all_on("new");
    fleet.group.control(|control| control["ignore_hours_until"] = in_ms(0));
    fleet.group.publish("newer");
    for who in [0, 1] {
        fleet.group.wait_state(who, "off-hours");
    }
    fleet.holds_back(A_WHILE, "newer", &BTreeSet::new());
}

#[test]
fn hours_that_an_operator_ignores_for_a_while_count_again_by_themselves() {
    let mut fleet = Fleet::start("hours_that_count_again", 2, off_hours);
    fleet.group.control(|control| control["ignore_hours_until"] = in_ms(2000));
    let mut published = 0;
    eventually_within(TWO_EXPIRIES, "the hours count again", || {
        let states = [0, 1].map(|who| fleet.group.told_by(&id(who))["state"].clone());
        if states == ["off-hours", "off-hours"] {
            return Ok(());
        }
        if states.contains(&"running".into()) {
            published += 1;
            fleet.group.publish(&format!("new{published}"));
        }
        Err(format!("{states:?}"))
    });
    fleet.group.rollout(&["resume", "web", "--ignore-hours", "1h"]).ok();
    fleet.wait_all_on(&format!("new{published}"));
}
