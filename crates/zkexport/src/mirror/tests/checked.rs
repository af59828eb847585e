//! A farm that is not stored at once: it is checked, or has too few hosts.

use super::*;

/// A live fixture whose next stores are checked first.
fn checking() -> Fixture {
    let mut fixture = Fixture::live();
    fixture.is_checking = true;
    fixture
}

#[test]
fn during_a_check_changes_are_gathered_and_staged_after_it() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    for n in 0..100 {
        fixture.set(1010 + n * 10, "b", 100 + n);
    }
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2"]);
    assert_eq!(fixture.mirror.deadline(), None);
    fixture.wait_until(5000);
    fixture.step(Event::Passed);
    // The farm that passed is installed although there is a newer one.
    assert_eq!(fixture.take_done(), ["5000 install a=7 b=2", "5000 announce"]);
    fixture.wait_until(5001);
    assert_eq!(fixture.take_done(), ["5000 stage a=7 b=199"]);
    fixture.step(Event::Passed);
    assert_eq!(fixture.take_done(), ["5001 install a=7 b=199", "5001 announce"]);
    assert!(fixture.mirror.is_current());
}

#[test]
fn a_refused_farm_is_staged_again_only_after_a_change_or_a_refresh() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.step(Event::Refused);
    assert_eq!(fixture.mirror.behind_reason(), Some(BehindReason::CheckRefused));
    fixture.wait_until(100_000);
    fixture.step(Event::Unknown);
    fixture.step(Event::Complete);
    fixture.wait_until(200_000);
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2"]);
    fixture.step(Event::Refresh);
    fixture.step(Event::Unknown);
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["200000 stage a=7 b=2"]);
    fixture.step(Event::Refused);
    fixture.set(300_000, "b", 8);
    assert_eq!(fixture.take_done(), ["300000 stage a=7 b=8"]);
    fixture.step(Event::Passed);
    assert_eq!(fixture.take_done(), ["300000 install a=7 b=8", "300000 announce"]);
    assert_eq!(fixture.mirror.behind_reason(), None);
}

#[test]
fn a_refusal_is_over_when_the_farm_is_as_in_the_file_again() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.step(Event::Refused);
    fixture.set(2000, "a", 1);
    assert!(fixture.mirror.is_current());
    // The refused contents again: they are not checked again.
    fixture.set(3000, "a", 7);
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2"]);
    assert_eq!(fixture.mirror.behind_reason(), Some(BehindReason::CheckRefused));
}

#[test]
fn changes_during_a_check_that_refuses_are_staged_next() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.set(1200, "a", 8);
    fixture.step(Event::Refused);
    fixture.wait_until(1300);
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2", "1250 stage a=8 b=2"]);
}

#[test]
fn the_start_is_the_first_file_that_passes() {
    let mut fixture = Fixture::new(None);
    fixture.is_checking = true;
    fixture.farm.insert(host("a"), record(&json!({"n": 1})));
    fixture.farm.insert(host("b"), record(&json!({"n": 2})));
    fixture.step(Event::Complete);
    fixture.step(Event::Refused);
    assert!(!fixture.mirror.is_stored());
    fixture.remove(1000, "a");
    fixture.step(Event::Passed);
    assert_eq!(
        fixture.take_done(),
        ["0 stage a=1 b=2", "1000 stage b=2", "1000 install b=2", "1000 start"]
    );
}

#[test]
fn a_farm_that_passes_while_the_farm_is_unknown_is_installed_when_it_is_complete() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.step(Event::Unknown);
    fixture.step(Event::Passed);
    fixture.wait_until(9000);
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2"]);
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["9000 install a=7 b=2", "9000 announce"]);
}

#[test]
fn a_farm_that_passed_during_an_outage_is_discarded_for_a_newer_one() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.step(Event::Unknown);
    fixture.step(Event::Passed);
    fixture.set(2000, "a", 8);
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2", "2000 stage a=8 b=2"]);
    fixture.step(Event::Unknown);
    fixture.step(Event::Passed);
    fixture.set(3000, "a", 1);
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["3000 discard"]);
    assert!(fixture.mirror.is_current());
}

#[test]
fn a_check_may_end_while_the_farm_is_read_again() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.step(Event::Unknown);
    fixture.set(1500, "b", 9);
    fixture.step(Event::Complete);
    fixture.step(Event::Passed);
    fixture.wait_until(2000);
    assert_eq!(
        fixture.take_done(),
        ["1000 stage a=7 b=2", "1500 install a=7 b=2", "1500 announce", "1550 stage a=7 b=9"]
    );
}

#[test]
fn a_host_that_leaves_during_a_check_still_stays_for_min() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.remove(1490, "b");
    fixture.wait_until(1500);
    fixture.step(Event::Passed);
    fixture.wait_until(1530);
    assert_eq!(
        fixture.take_done(),
        ["1000 stage a=7 b=2", "1500 install a=7 b=2", "1500 announce"]
    );
    fixture.wait_until(1600);
    assert_eq!(fixture.take_done(), ["1540 stage a=7"]);
}

#[test]
fn with_too_few_hosts_the_file_stays_and_this_is_reported_once() {
    let mut fixture = Fixture::with_hosts_min(Some("n<10"), 2);
    fixture.farm.insert(host("a"), record(&json!({"n": 1})));
    fixture.step(Event::Complete);
    assert_eq!(fixture.take_done(), ["0 too-few 1"]);
    fixture.set(1000, "b", 20);
    fixture.set(2000, "b", 2);
    assert_eq!(fixture.take_done(), ["2000 enough", "2000 store a=1 b=2", "2000 start"]);
    fixture.set(3000, "a", 10);
    fixture.set(4000, "b", 10);
    assert_eq!(
        fixture.mirror.behind_reason(),
        Some(BehindReason::Withheld(Withheld::TooFewHosts(0)))
    );
    fixture.wait_until(100_000);
    assert_eq!(fixture.take_done(), ["3000 too-few 1"]);
    // The farm is as in the file again, so nothing is stored.
    fixture.set(100_000, "a", 1);
    fixture.set(101_000, "b", 2);
    fixture.wait_until(102_000);
    assert_eq!(fixture.take_done(), ["101000 enough"]);
    assert!(fixture.mirror.is_current());
}

#[test]
fn a_host_that_comes_back_as_in_the_file_counts_for_min_hosts() {
    let mut fixture = Fixture::with_hosts_min(None, 2);
    for (name, n) in [("a", 1), ("b", 2), ("c", 3)] {
        fixture.set(0, name, n);
    }
    fixture.step(Event::Complete);
    fixture.remove(1000, "a");
    fixture.remove(1000, "b");
    fixture.wait_until(2000);
    let done = fixture.take_done();
    assert_eq!(done[2..], ["1050 too-few 1"]);
    fixture.set(3000, "b", 2);
    assert_eq!(fixture.take_done(), ["3000 enough", "3000 store b=2 c=3", "3000 announce"]);
    assert!(fixture.mirror.is_current());
}

#[test]
fn a_host_that_is_as_in_the_file_again_makes_a_new_farm_to_check() {
    let mut fixture = checking();
    fixture.set(1000, "a", 7);
    fixture.set(1010, "b", 8);
    fixture.step(Event::Refused);
    fixture.wait_until(2000);
    fixture.step(Event::Refused);
    assert_eq!(fixture.take_done(), ["1000 stage a=7 b=2", "1060 stage a=7 b=8"]);
    fixture.set(5000, "b", 2);
    assert_eq!(fixture.take_done(), ["5000 stage a=7 b=2"]);
}

#[test]
fn hosts_that_have_just_left_still_count_for_min_hosts() {
    let mut fixture = Fixture::with_hosts_min(None, 2);
    fixture.set(0, "a", 1);
    fixture.set(0, "b", 2);
    fixture.step(Event::Complete);
    fixture.remove(1000, "a");
    fixture.set(1010, "b", 3);
    fixture.wait_until(2000);
    let done = fixture.take_done();
    assert_eq!(done[..2], ["0 store a=1 b=2", "0 start"]);
    assert_eq!(done[2..], ["1060 too-few 1"]);
}

#[test]
fn a_failing_store_is_not_retried_while_there_are_too_few_hosts() {
    let mut fixture = Fixture::with_hosts_min(None, 2);
    fixture.set(0, "a", 1);
    fixture.set(0, "b", 2);
    fixture.step(Event::Complete);
    fixture.is_broken = true;
    fixture.set(1000, "b", 3);
    fixture.remove(1010, "a");
    fixture.wait_until(100_000);
    assert_eq!(fixture.mirror.deadline(), None);
    assert_eq!(
        fixture.mirror.behind_reason(),
        Some(BehindReason::Withheld(Withheld::TooFewHosts(1)))
    );
}

#[test]
fn with_random_verdicts_the_file_is_up_to_date_in_the_end() {
    for seed in farm_harness::seeds(300) {
        let mut rng = Rng::with_seed(seed);
        let mut fixture = checking();
        let mut at_ms = 1000;
        for n in 0..200 {
            at_ms += rng.u64(0..80);
            let name = ["a", "b", "c"][rng.usize(..3)];
            if fixture.farm.get(name).is_some() && rng.bool() {
                fixture.remove(at_ms, name);
            } else {
                fixture.set(at_ms, name, rng.u64(0..4));
            }
            let verdict = [Event::Passed, Event::Refused, Event::Unknown, Event::Complete];
            let verdict = verdict[rng.usize(..if n % 3 == 0 { 4 } else { 2 })].clone();
            let is_answer = matches!(verdict, Event::Passed | Event::Refused);
            if !is_answer || fixture.mirror.is_pending() {
                fixture.step(verdict);
            }
        }
        // A refused farm is checked again only after a refresh.
        fixture.step(Event::Refresh);
        fixture.step(Event::Complete);
        for _ in 0..5 {
            if fixture.mirror.is_pending() {
                fixture.step(Event::Passed);
            }
            at_ms += 600;
            fixture.wait_until(at_ms);
        }
        assert_eq!(fixture.file, Some(farm_value(&fixture.farm)), "seed {seed}");
        assert_eq!(fixture.mirror.deadline(), None, "seed {seed}");
    }
}
