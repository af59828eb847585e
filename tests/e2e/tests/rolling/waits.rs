//! `zkctl rollout wait` never says that a rollout is done before it is.
//!
//! `FARM_ROUNDS=20` repeats that twenty times.

use super::fixture::{CONF, Member, id};
use super::fleet::Fleet;
use super::group_state::{rounds, version_of};
use super::print;
use farm_harness::{Output, Running, Signal, Tool, eventually, holds_for};
use std::time::Duration;

const MEMBERS: usize = 4;
const A_WHILE: Duration = Duration::from_millis(500);
const WAIT: [&str; 4] = ["wait", "web", "--for", "2m"];

/// Publishes content as a deployment does.
#[track_caller]
fn put(fleet: &Fleet, content: &str) {
    let file = fleet.group.scratch.write("new.conf", content);
    let zkctl = Tool::new("zkctl").args(["-H", &fleet.group.servers(), "put", CONF]);
    zkctl.arg(file).run().ok();
}

#[track_caller]
fn wait(fleet: &Fleet) -> Output {
    fleet.group.rollout_tool(&WAIT).patience(Duration::from_secs(120)).run()
}

fn start_wait(fleet: &Fleet) -> Running {
    fleet.group.rollout_tool(&WAIT).patience(Duration::from_secs(120)).spawn()
}

/// Expects that these members are well on this content, at this moment.
#[track_caller]
fn assert_done(fleet: &mut Fleet, whos: &[usize], content: &str) {
    for who in whos {
        assert_eq!(fleet.group.file(*who), content, "{who}\n{}", fleet.logs());
        let well = fleet.group.scratch.join(format!("{who}/well-{content}"));
        assert!(well.exists(), "{who} was never well on {content}\n{}", fleet.logs());
        let (told, version) = (fleet.group.told_by(&id(*who)), version_of(content));
        assert_eq!((&told["state"], &told["confirmed"]), (&"running".into(), &version.into()));
    }
}

/// Members whose health checks take random times of up to half a second.
fn random_members(test: &str) -> Fleet {
    let seed = std::env::var("FARM_ROLLS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    print(&format!("FARM_ROLLS_SEED={seed}"));
    let rng = std::cell::RefCell::new(fastrand::Rng::with_seed(seed));
    Fleet::start(test, MEMBERS, |member| {
        let seconds = rng.borrow_mut().f64() / 2.0;
        member.keeping().healthy_after(seconds).delay("60s").more(&["--concurrency", "2"])
    })
}

#[test]
fn every_member_is_well_on_the_new_content_when_it_says_done() {
    let mut fleet = random_members("every_member_is_well_when_it_says_done");
    wait(&fleet).ok();
    for roll in 1..=4 * rounds() {
        let content = format!("new{roll}");
        put(&fleet, &content);
        wait(&fleet).ok();
        assert_done(&mut fleet, &[0, 1, 2, 3], &content);
    }
}

#[test]
fn content_that_comes_while_it_waits_counts() {
    let mut fleet = random_members("content_that_comes_while_it_waits");
    for roll in 1..=rounds() {
        let (first, second) = (format!("first{roll}"), format!("second{roll}"));
        put(&fleet, &first);
        let mut wait = start_wait(&fleet);
        fleet.wait_start(&[0, 1, 2, 3], &first);
        // At least one member is behind yet, because the canary is not confirmed.
        put(&fleet, &second);
        wait.wait_exit().ok();
        assert_done(&mut fleet, &[0, 1, 2, 3], &second);
    }
}

#[test]
fn a_member_that_starts_late_is_waited_for() {
    for _ in 0..rounds() {
        let test = "a_member_that_starts_late_is_waited_for";
        let mut fleet = Fleet::with_room(test, 3, 2, |member| member.checked().delay("60s"));
        let mut check = fleet.group.gate(2, "check");
        fleet.launch(2);
        fleet.group.wait_state(2, "starting");
        put(&fleet, "new");
        let mut wait = start_wait(&fleet);
        for who in [0, 1] {
            fleet.group.wait_healthy_on(who, "new");
            fleet.group.wait_state(who, "running");
        }
        holds_for(A_WHILE, "it waits", || {
            if wait.is_running() { Ok(()) } else { Err("it has ended") }
        });
        check.open();
        wait.wait_exit().ok();
        // The late one was started on it, or was started before and has had its turn.
        assert_eq!(fleet.group.file(2), "new");
        fleet.group.observer.wait_up(2, "new");
        let told = fleet.group.told_by(&id(2));
        assert_eq!(told["confirmed"], version_of("new"), "{told}");
        assert_done(&mut fleet, &[0, 1], "new");
    }
}

/// A member is away for longer than its session lasts. While it is a member, it is waited for.
fn away(test: &str, go: impl Fn(&mut Fleet), come_back: impl Fn(&mut Fleet)) {
    let mut fleet = random_members(test);
    let away = 3;
    for roll in 1..=rounds() {
        let content = format!("new{roll}");
        go(&mut fleet);
        put(&fleet, &content);
        let mut wait = start_wait(&fleet);
        for who in 0..away {
            fleet.group.wait_healthy_on(who, &content);
        }
        wait.wait_exit().ok();
        // Its session is over, so it is no member.
        assert_eq!(fleet.group.told_by(&id(away)), serde_json::Value::Null);
        assert_done(&mut fleet, &[0, 1, 2], &content);
        come_back(&mut fleet);
        fleet.group.told_again(away);
        self::wait(&fleet).ok();
        assert_done(&mut fleet, &[0, 1, 2, 3], &content);
    }
}

#[test]
fn a_member_that_is_cut_off_is_waited_for_as_long_as_it_is_one() {
    away(
        "a_member_that_is_cut_off_is_waited_for",
        |fleet| fleet.cut_off(3),
        |fleet| fleet.proxies[3].accept(),
    );
}

#[test]
fn a_member_that_is_frozen_is_waited_for_as_long_as_it_is_one() {
    away(
        "a_member_that_is_frozen_is_waited_for",
        |fleet| fleet.running[3].signal(Signal::SIGSTOP),
        |fleet| fleet.running[3].signal(Signal::SIGCONT),
    );
}

#[test]
fn a_member_that_lost_its_session_is_waited_for_once_it_is_back() {
    let mut fleet = random_members("a_member_that_lost_its_session_is_waited_for");
    for roll in 1..=rounds() {
        let content = format!("new{roll}");
        put(&fleet, &content);
        let first = fleet.wait_start(&[0, 1, 2, 3], &content);
        fleet.proxies[first].expire().unwrap();
        eventually("it is a member again", || {
            let told = fleet.group.told_by(&id(first));
            if told["running"] == version_of(&content) { Ok(()) } else { Err(told.to_string()) }
        });
        wait(&fleet).ok();
        assert_done(&mut fleet, &[0, 1, 2, 3], &content);
    }
}

#[test]
fn it_says_no_where_nobody_but_an_operator_can_help() {
    let mut fleet = Fleet::start("it_says_no", 3, Member::keeping);
    fleet.publish_to_all("good");
    put(&fleet, "bad fails");
    let refused = wait(&fleet);
    refused.code(1).stderr_has("the command ended with 3");
    let known = fleet.group.wait_verdict("bad fails", "refused");
    let holder = fleet.position(&known["by"]);
    // Nobody can tell from the outside that it would help.
    fleet.group.rollout(&["retry", "web"]).ok();
    wait(&fleet).code(1);
    fleet.group.rollout(&["pause", "web"]).ok();
    put(&fleet, "better");
    wait(&fleet).code(1).stderr_has("paused");
    fleet.group.rollout(&["resume", "web"]).ok();
    wait(&fleet).ok();
    assert_done(&mut fleet, &[0, 1, 2], "better");
    assert_eq!(fleet.start_counts("bad")[holder], 2);
    assert_eq!(fleet.reached_by("bad").len(), 1, "{}", fleet.logs());
}

#[test]
fn what_an_operator_has_just_ordered_is_waited_for() {
    let mut fleet = Fleet::start("what_an_operator_has_just_ordered", 3, Member::keeping);
    for round in 1..=rounds() {
        let (version, content) = (format!("new{round}"), format!("new{round} needs"));
        put(&fleet, &content);
        wait(&fleet).code(1);
        fleet.group.scratch.write("mended", "");
        // The member that failed says so until it has noticed.
        fleet.group.rollout(&["retry", "web"]).ok();
        wait(&fleet).ok();
        assert_eq!(fleet.reached_by(&version).len(), 3, "{}", fleet.logs());
        fleet.group.rollout(&["restart", "web"]).ok();
        wait(&fleet).ok();
        let counts = fleet.start_counts(&version);
        assert!(counts.iter().all(|count| *count >= 2), "{counts:?}");
        fleet.group.rollout(&["pause", "web"]).ok();
        put(&fleet, &format!("good{round}"));
        wait(&fleet).code(1);
        fleet.group.rollout(&["resume", "web"]).ok();
        wait(&fleet).ok();
        assert_done(&mut fleet, &[0, 1, 2], &format!("good{round}"));
        std::fs::remove_file(fleet.group.scratch.join("mended")).unwrap();
    }
}

#[test]
fn sources_of_all_kinds_are_compared_with_what_the_members_have() {
    let trees = |member: Member| member.more(&["-m", "t/=/tree/", "-m", "o=/maybe,optional"]);
    let mut fleet = Fleet::with_room("sources_of_all_kinds", 2, 0, trees);
    for path in ["/tree", "/tree/a", "/tree/a/b", "/tree/.hidden", "/tree/empty"] {
        fleet.group.zk.create(path, "1").unwrap();
    }
    for who in [0, 1] {
        fleet.launch(who);
        fleet.group.wait_state(who, "running");
    }
    wait(&fleet).ok();
    let changes: [&dyn Fn(&mut farm_harness::Zk); 5] = [
        &|zk| zk.create("/tree/c", "2").unwrap(),
        &|zk| assert_eq!(zk.set("/tree/a/b", "2").unwrap().version, 1),
        &|zk| zk.create("/maybe", "").unwrap(),
        &|zk| zk.delete("/tree/c").unwrap(),
        &|zk| zk.delete("/tree/a/b").unwrap(),
    ];
    for (round, change) in changes.into_iter().enumerate() {
        let before = fleet.start_counts("v1");
        change(&mut fleet.group.zk);
        wait(&fleet).ok();
        let wanted: Vec<usize> = before.iter().map(|count| count + 1).collect();
        assert_eq!(fleet.start_counts("v1"), wanted, "change {round}");
    }
    // What is no file changes nothing.
    fleet.group.zk.set("/tree/.hidden", "2").unwrap();
    let before = fleet.start_counts("v1");
    wait(&fleet).ok();
    assert_eq!(fleet.start_counts("v1"), before);
}
