//! Until new content is confirmed, one member at a time has it, however many may restart at once.
//!
//! `FARM_ROUNDS=20` repeats that twenty times.

use super::fixture::Member;
use super::fleet::Fleet;
use super::group_state::rounds;
use farm_harness::{eventually, holds_for};
use std::collections::BTreeSet;
use std::time::Duration;

const MEMBERS: usize = 6;
const ALL: [usize; MEMBERS] = [0, 1, 2, 3, 4, 5];
const A_WHILE: Duration = Duration::from_millis(500);

fn start(test: &str) -> Fleet {
    let two_at_once = |member: Member| member.keeping().delay("60s").more(&["--concurrency", "2"]);
    let mut fleet = Fleet::start(test, MEMBERS, two_at_once);
    fleet.publish_to_all("good0");
    fleet
}

/// The members whose file has this version.
fn have(fleet: &Fleet, version: &str) -> BTreeSet<usize> {
    ALL.into_iter().filter(|who| fleet.group.file(*who).starts_with(version)).collect()
}

/// Waits until that many members have the version, and expects that no further one gets it.
#[track_caller]
fn wait_exactly(fleet: &Fleet, version: &str, count: usize) -> BTreeSet<usize> {
    let have_it = eventually(&format!("{count} have {version}"), || {
        let started = fleet.reached_by(version);
        if started.len() == count && have(fleet, version) == started {
            Ok(started)
        } else {
            Err(format!("{started:?} {:?}", have(fleet, version)))
        }
    });
    holds_for(A_WHILE, &format!("{have_it:?} have {version}"), || {
        let now = (have(fleet, version), fleet.reached_by(version));
        if now == (have_it.clone(), have_it.clone()) { Ok(()) } else { Err(format!("{now:?}")) }
    });
    have_it
}

#[test]
fn one_of_six_has_the_new_content_until_it_is_confirmed_and_then_two_at_once() {
    let mut fleet = start("one_of_six_has_the_new_content");
    for round in 1..=rounds() {
        let version = format!("new{round}");
        fleet.close_gates();
        fleet.group.publish(&version);
        let first = wait_exactly(&fleet, &version, 1);
        assert_eq!(fleet.group.verdict(&version)["verdict"], "trying");
        fleet.open_gates_of(&first);
        // The one that works, and the two after it.
        wait_exactly(&fleet, &version, 3);
        assert_eq!(fleet.group.verdict(&version)["verdict"], "confirmed");
        fleet.open_gates();
        fleet.wait_all_on(&version);
    }
}

#[test]
fn a_member_that_vanished_with_unconfirmed_content_is_followed_by_one() {
    let mut fleet = start("a_member_that_vanished_is_followed_by_one");
    for round in 1..=rounds() {
        let version = format!("new{round}");
        fleet.close_gates();
        fleet.group.publish(&version);
        let mut first = wait_exactly(&fleet, &version, 1);
        let first = first.pop_first().unwrap();
        fleet.kill(first);
        let mut two = wait_exactly(&fleet, &version, 2);
        assert!(two.remove(&first));
        fleet.open_gates_of(&two);
        wait_exactly(&fleet, &version, 4);
        fleet.open_gates();
        for other in fleet.others(first) {
            fleet.group.wait_healthy_on(other, &version);
        }
        fleet.launch(first);
        fleet.group.observer.wait_up(first, &version);
        fleet.publish_to_all(&format!("good{round}"));
    }
}

#[test]
fn a_refusal_after_the_confirmation_stops_what_is_left_of_the_roll() {
    let mut fleet = start("a_refusal_after_the_confirmation");
    for round in 1..=rounds() {
        let (version, content) = (format!("new{round}"), format!("new{round} picky"));
        fleet.close_gates();
        fleet.group.publish(&content);
        let first = wait_exactly(&fleet, &version, 1);
        for other in ALL.into_iter().filter(|who| !first.contains(who)) {
            fleet.group.scratch.write(format!("{other}/picky"), "");
        }
        fleet.open_gates_of(&first);
        fleet.group.wait_verdict(&content, "refused");
        // The second one that may restart was at it already, at most.
        let reached = eventually("the others are kept from it", || {
            let reached = fleet.reached_by(&version);
            let left = ALL.into_iter().filter(|who| !reached.contains(who));
            let states: Vec<_> =
                left.map(|who| fleet.group.told_by(&format!("m{who}"))["state"].clone()).collect();
            let is_over = states.iter().all(|state| state == "refused");
            if is_over { Ok(reached) } else { Err(format!("{reached:?} {states:?}")) }
        });
        assert!(reached.len() <= 3, "{reached:?}");
        fleet.holds_back(A_WHILE, &version, &reached);
        fleet.open_gates();
        for who in ALL {
            drop(std::fs::remove_file(fleet.group.scratch.join(format!("{who}/picky"))));
        }
        fleet.publish_to_all(&format!("good{round}"));
        assert_eq!(fleet.reached_by(&version), reached, "{}", fleet.logs());
    }
}
