//! A host that boots while its group refuses the content in ZooKeeper, or tries it.

use super::fixture::{GroupFixture, Member, id};
use super::fleet::Fleet;
use super::group_state::version_of;
use farm_harness::{Running, Signal, holds_for};
use serde_json::{Value, json};
use std::time::Duration;

const FIRST: usize = 0;
const OTHER: usize = 1;

/// Content on which the child of the first member fails.
const BAD: &str = "bad picky";

/// Two members, the first of which has refused the content; the other one has ended.
fn refused(test: &str, how: impl Fn(Member) -> Member) -> Fleet {
    let mut fleet = Fleet::start(test, 2, how);
    fleet.group.scratch.write(format!("{FIRST}/picky"), "");
    fleet.publish_to_all("good");
    fleet.publish_to_first(FIRST, BAD);
    fleet.group.wait_verdict(BAD, "refused");
    fleet.group.wait_state(OTHER, "refused");
    end(&mut fleet, OTHER);
    fleet
}

/// Ends a member whose child runs.
fn end(fleet: &mut Fleet, who: usize) {
    fleet.running[who].signal(Signal::SIGTERM);
    fleet.running[who].wait_exit().code(7);
}

#[test]
fn it_starts_on_the_files_that_were_confirmed_last() {
    let mut fleet = refused("it_starts_on_the_confirmed_files", Member::keeping);
    // What is beside the kept files does not matter.
    for (round, left) in [None, Some(BAD), Some("anything")].into_iter().enumerate() {
        let path = fleet.group.scratch.join(format!("{OTHER}/conf"));
        match left {
            None => std::fs::remove_file(path).unwrap(),
            Some(text) => drop(fleet.group.scratch.write(path, text)),
        }
        fleet.launch(OTHER);
        fleet.group.observer.wait_up(OTHER, "good");
        assert_eq!(fleet.group.file(OTHER), "good", "round {round}");
        fleet.running[OTHER].wait_log(
            "the group has refused the content in ZooKeeper; starting with the files that were \
             confirmed last",
        );
        let told = fleet.group.wait_state(OTHER, "refused");
        assert_eq!(told["wanted"], version_of(BAD));
        assert_eq!([&told["running"], &told["confirmed"]], [&json!(version_of("good")); 2]);
        end(&mut fleet, OTHER);
    }
    // The member that has refused it, too.
    fleet.running[FIRST].signal(Signal::SIGTERM);
    fleet.running[FIRST].wait_exit().code(3);
    for who in [FIRST, OTHER] {
        fleet.launch(who);
        fleet.group.observer.wait_up(who, "good");
        fleet.group.wait_state(who, "refused");
    }
    assert_eq!(fleet.starts_on("bad"), [FIRST]);
    // They take turns for what comes next.
    fleet.publish_to_all("better");
}

#[test]
fn it_starts_on_confirmed_files_while_others_try_the_content_and_takes_its_turn_then() {
    let test = "it_starts_on_confirmed_files_while_others_try";
    let mut fleet = Fleet::start(test, 2, |member| member.keeping().delay("60s"));
    fleet.publish_to_all("good");
    fleet.close_gates();
    fleet.publish_to_first(FIRST, "new");
    fleet.wait_start(&[FIRST], "new");
    end(&mut fleet, OTHER);
    fleet.launch(OTHER);
    fleet.group.observer.wait_up(OTHER, "good");
    fleet.running[OTHER].wait_log("the group is trying the content in ZooKeeper; starting with");
    fleet.group.wait_state(OTHER, "waiting");
    assert_eq!(fleet.group.verdict("new")["tries"], 1);
    fleet.open_gates();
    fleet.wait_all_on("new");
    // This is confirmed, so a start needs nothing else.
    end(&mut fleet, OTHER);
    fleet.launch(OTHER);
    fleet.group.observer.wait_up(OTHER, "new");
    fleet.group.wait_state(OTHER, "running");
    assert!(!fleet.running[OTHER].stderr().contains("starting with"));
}

#[test]
fn without_a_directory_for_them_it_starts_on_the_existing_files_if_they_are_others() {
    let mut fleet = refused("without_a_directory_it_starts_on_existing_files", |member| member);
    fleet.launch(OTHER);
    fleet.group.observer.wait_up(OTHER, "good");
    fleet.running[OTHER].wait_log(
        "the group has refused the content in ZooKeeper; starting with the existing files",
    );
    fleet.group.wait_state(OTHER, "refused");
    assert_eq!(fleet.group.file(OTHER), "good");
    fleet.publish_to_all("better");
}

/// Expects that a start on refused content is no try, and that the member goes on from there.
fn assert_is_no_try(fleet: &mut Fleet, before: &Value) {
    fleet.group.observer.wait_up(OTHER, "bad");
    fleet.running[OTHER].wait_log(
        "the group has refused the content in ZooKeeper; starting on it, because there are no \
         other files",
    );
    assert_eq!(&fleet.group.verdict(BAD), before);
    let queue = fleet.group.queue();
    assert_eq!(queue.len(), 1, "{queue:?}");
    fleet.publish_to_all("better");
}

#[test]
fn without_other_files_it_starts_on_the_znodes_and_that_is_no_try() {
    let mut fleet = refused("without_other_files_it_starts_on_the_znodes", |member| member);
    let before = fleet.group.verdict(BAD);
    std::fs::remove_file(fleet.group.scratch.join(format!("{OTHER}/conf"))).unwrap();
    fleet.launch(OTHER);
    assert_is_no_try(&mut fleet, &before);
}

#[test]
fn files_that_are_the_refused_ones_are_no_better_than_the_znodes() {
    let mut fleet = refused("files_that_are_the_refused_ones", |member| member);
    let before = fleet.group.verdict(BAD);
    fleet.group.scratch.write(format!("{OTHER}/conf"), BAD);
    fleet.launch(OTHER);
    assert_is_no_try(&mut fleet, &before);
}

#[test]
fn content_that_is_tried_again_reaches_a_member_that_was_started_on_kept_files() {
    let mut fleet = refused("content_that_is_tried_again_reaches_it", Member::keeping);
    fleet.launch(OTHER);
    fleet.group.observer.wait_up(OTHER, "good");
    fleet.group.wait_state(OTHER, "refused");
    std::fs::remove_file(fleet.group.scratch.join(format!("{FIRST}/picky"))).unwrap();
    fleet.group.rollout(&["retry", "web"]).ok();
    fleet.wait_all_on("bad");
    assert_eq!(fleet.starts_on("bad"), [FIRST, FIRST, OTHER]);
}

#[test]
fn a_member_that_is_left_out_starts_on_the_files_that_were_confirmed_last() {
    let mut fleet = Fleet::start("a_member_that_is_left_out_starts", 2, Member::keeping);
    fleet.group.scratch.write(format!("{FIRST}/picky"), "");
    fleet.publish_to_all("good");
    fleet.publish_to_first(FIRST, BAD);
    fleet.group.wait_verdict(BAD, "refused");
    fleet.group.wait_state(FIRST, "failed");
    fleet.group.rollout(&["skip", "web", &id(FIRST)]).ok();
    fleet.group.wait_healthy_on(OTHER, "bad");
    fleet.group.wait_verdict(BAD, "confirmed");
    fleet.group.wait_state(FIRST, "skipped");
    fleet.kill(FIRST);
    fleet.launch(FIRST);
    fleet.group.observer.wait_up(FIRST, "good");
    fleet.group.wait_state(FIRST, "skipped");
    assert_eq!(fleet.starts_on("bad"), [FIRST, OTHER]);
    fleet.publish_to_all("better");
}

#[test]
fn files_that_failed_are_not_kept() {
    let mut group = GroupFixture::new("files_that_failed_are_not_kept", 1);
    let member = group.zkexec(0).named().keeping().delay("1s");
    let mut running: Running = group.start(&member, "v1");
    let kept = group.scratch.join("0/state/web.m0.confirmed");
    let what_is_kept = || String::from_utf8(std::fs::read(&kept).unwrap_or_default()).unwrap();
    // The first content is kept as soon as its first check has passed.
    farm_harness::eventually("the first content is kept", || {
        let text = what_is_kept();
        if text.ends_with("\nv1") { Ok(()) } else { Err(text) }
    });
    group.publish("bad fails");
    group.wait_verdict("bad fails", "refused");
    holds_for(Duration::from_millis(300), "it is not kept", || {
        let text = what_is_kept();
        if text.ends_with("\nv1") { Ok(()) } else { Err(text) }
    });
    running.kill9();
    let _running = group.start(&member, "v1");
    group.wait_state(0, "refused");
    assert_eq!(group.told_by(&id(0))["running"], version_of("v1"));
}
