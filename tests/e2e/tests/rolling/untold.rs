//! A member that vanishes before it could tell what came of new content costs one more member.
//!
//! `FARM_ROUNDS=20` repeats each of them twenty times.

use super::fixture::Member;
use super::fleet::Fleet;
use super::group_state::rounds;
use farm_harness::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const MEMBERS: usize = 3;

/// The members that have tried the content so far.
fn triers(fleet: &Fleet, known: &Value) -> Vec<usize> {
    let trials = known["trials"].as_array().unwrap();
    trials.iter().map(|trial| fleet.position(&trial["id"])).collect()
}

/// Publishes content that is never known to work. Each member that tries it vanishes, in every
/// other round as soon as its try is counted. Then new content reaches all members.
fn each_round(
    test: &str,
    vanish: impl Fn(&mut Fleet, usize, usize),
    come_back: impl Fn(&mut Fleet, usize),
) {
    let mut fleet = Fleet::start(test, MEMBERS, |member| member.keeping().delay("60s"));
    fleet.publish_to_all("good0");
    for round in 1..=rounds() {
        let (version, content) = (format!("bad{round}"), format!("bad{round} unwell"));
        fleet.group.publish(&content);
        let mut gone = BTreeSet::new();
        for tries in 1..=2 {
            let known = fleet.group.wait_tries(&content, tries);
            assert_eq!(known["verdict"], "trying", "{known}");
            let trier = *triers(&fleet, &known).last().unwrap();
            if (round + tries) % 2 == 0 {
                fleet.wait_start(&[trier], &version);
            }
            vanish(&mut fleet, trier, round);
            gone.insert(trier);
        }
        let known = fleet.group.wait_verdict(&content, "refused");
        let reason = known["reason"].as_str().unwrap();
        assert!(reason.starts_with("2 turns on it had no outcome (m"), "{known}");
        for who in 0..MEMBERS {
            if !gone.contains(&who) {
                fleet.group.wait_state(who, "refused");
            }
        }
        fleet.holds_back(Duration::from_millis(300), &version, &gone);
        for who in gone {
            come_back(&mut fleet, who);
        }
        fleet.publish_to_all(&format!("good{round}"));
    }
    for round in 1..=rounds() {
        let starts = fleet.starts_on(&format!("bad{round}"));
        assert!(starts.len() <= 2, "round {round}: {starts:?}\n{}", fleet.logs());
    }
}

#[test]
fn two_members_at_most_try_what_kills_each_member_that_tries_it() {
    each_round(
        "two_members_at_most_are_killed",
        |fleet, who, _| fleet.kill(who),
        |fleet, who| {
            fleet.launch(who);
            fleet.group.wait_state(who, "refused");
        },
    );
}

#[test]
fn two_members_at_most_try_what_is_started_again_before_its_session_is_over() {
    each_round(
        "two_members_at_most_are_started_again",
        |fleet, who, round| {
            fleet.kill(who);
            fleet.launch(who);
            fleet.group.observer.wait_up(who, &format!("good{}", round - 1));
        },
        |fleet, who| {
            fleet.group.wait_state(who, "refused");
        },
    );
}

#[test]
fn two_members_at_most_try_what_cuts_each_member_off_that_tries_it() {
    each_round(
        "two_members_at_most_are_cut_off",
        |fleet, who, _| fleet.cut_off(who),
        |fleet, who| {
            fleet.proxies[who].accept();
            fleet.group.told_again(who);
        },
    );
}

#[test]
fn two_members_at_most_try_what_freezes_each_member_that_tries_it() {
    each_round(
        "two_members_at_most_are_frozen",
        |fleet, who, _| fleet.running[who].signal(Signal::SIGSTOP),
        |fleet, who| {
            fleet.running[who].signal(Signal::SIGCONT);
            fleet.group.told_again(who);
        },
    );
}

#[test]
fn good_content_goes_on_after_a_member_that_vanished_while_it_tried_it() {
    let test = "good_content_goes_on_after_a_member_that_vanished";
    let mut fleet = Fleet::start(test, MEMBERS, Member::keeping);
    fleet.publish_to_all("good0");
    fleet.close_gates();
    fleet.group.publish("new");
    let first = fleet.wait_start(&[0, 1, 2], "new");
    fleet.kill(first);
    fleet.open_gates();
    for other in fleet.others(first) {
        fleet.group.wait_healthy_on(other, "new");
    }
    let known = fleet.group.wait_verdict("new", "confirmed");
    assert_eq!(known["tries"], 0, "{known}");
    fleet.launch(first);
    fleet.group.observer.wait_up(first, "new");
    fleet.publish_to_all("good1");
}
