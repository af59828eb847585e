//! What keeps a farm out of the file: a check, or too few hosts.

use super::*;

/// A live one whose next stores are checked first.
fn checking() -> Bench {
    let mut bench = Bench::live();
    bench.is_checking = true;
    bench
}

#[test]
fn while_a_check_runs_nothing_else_is_staged_and_then_all_at_once() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    for n in 0..100 {
        bench.set(1010 + n * 10, "b", 100 + n);
    }
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2"]);
    assert_eq!(bench.mirror.deadline(), None);
    bench.wait_until(5000);
    bench.step(Event::Passed);
    // What passed is installed although it is old by now.
    assert_eq!(bench.take_done(), ["5000 install a=7 b=2", "5000 announce"]);
    bench.wait_until(5001);
    assert_eq!(bench.take_done(), ["5000 stage a=7 b=199"]);
    bench.step(Event::Passed);
    assert_eq!(bench.take_done(), ["5001 install a=7 b=199", "5001 announce"]);
    assert!(bench.mirror.is_current());
}

#[test]
fn what_was_refused_is_staged_again_only_when_it_is_new_or_asked_for() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.step(Event::Refused);
    assert_eq!(bench.mirror.trouble(), Some(Trouble::Refused));
    bench.wait_until(100_000);
    bench.step(Event::Unknown);
    bench.step(Event::Complete);
    bench.wait_until(200_000);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2"]);
    bench.step(Event::Refresh);
    bench.step(Event::Unknown);
    bench.step(Event::Complete);
    assert_eq!(bench.take_done(), ["200000 stage a=7 b=2"]);
    bench.step(Event::Refused);
    bench.set(300_000, "b", 8);
    assert_eq!(bench.take_done(), ["300000 stage a=7 b=8"]);
    bench.step(Event::Passed);
    assert_eq!(bench.take_done(), ["300000 install a=7 b=8", "300000 announce"]);
    assert_eq!(bench.mirror.trouble(), None);
}

#[test]
fn a_refusal_is_over_when_the_farm_is_as_the_file_has_it() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.step(Event::Refused);
    bench.set(2000, "a", 1);
    assert!(bench.mirror.is_current());
    // The same contents again: nobody has to look at them again.
    bench.set(3000, "a", 7);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2"]);
    assert_eq!(bench.mirror.trouble(), Some(Trouble::Refused));
}

#[test]
fn data_that_came_while_a_check_refused_is_staged_next() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.set(1200, "a", 8);
    bench.step(Event::Refused);
    bench.wait_until(1300);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2", "1250 stage a=8 b=2"]);
}

#[test]
fn a_first_file_that_is_refused_begins_with_the_first_that_passes() {
    let mut bench = Bench::new(None);
    bench.is_checking = true;
    bench.farm.insert(host("a"), record(&json!({"n": 1})));
    bench.farm.insert(host("b"), record(&json!({"n": 2})));
    bench.step(Event::Complete);
    bench.step(Event::Refused);
    assert!(!bench.mirror.is_begun());
    bench.remove(1000, "a");
    bench.step(Event::Passed);
    assert_eq!(
        bench.take_done(),
        ["0 stage a=1 b=2", "1000 stage b=2", "1000 install b=2", "1000 begin"]
    );
}

#[test]
fn what_passes_while_the_farm_is_unknown_waits_until_it_is_known() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.step(Event::Unknown);
    bench.step(Event::Passed);
    bench.wait_until(9000);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2"]);
    bench.step(Event::Complete);
    assert_eq!(bench.take_done(), ["9000 install a=7 b=2", "9000 announce"]);
}

#[test]
fn what_passed_while_the_farm_was_unknown_gives_way_to_what_is_known_then() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.step(Event::Unknown);
    bench.step(Event::Passed);
    bench.set(2000, "a", 8);
    bench.step(Event::Complete);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2", "2000 stage a=8 b=2"]);
    bench.step(Event::Unknown);
    bench.step(Event::Passed);
    bench.set(3000, "a", 1);
    bench.step(Event::Complete);
    assert_eq!(bench.take_done(), ["3000 discard"]);
    assert!(bench.mirror.is_current());
}

#[test]
fn an_answer_may_come_while_the_farm_is_read_again() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.step(Event::Unknown);
    bench.set(1500, "b", 9);
    bench.step(Event::Complete);
    bench.step(Event::Passed);
    bench.wait_until(2000);
    assert_eq!(
        bench.take_done(),
        ["1000 stage a=7 b=2", "1500 install a=7 b=2", "1500 announce", "1550 stage a=7 b=9"]
    );
}

#[test]
fn a_host_that_leaves_during_a_check_still_has_its_moment() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.remove(1490, "b");
    bench.wait_until(1500);
    bench.step(Event::Passed);
    bench.wait_until(1530);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2", "1500 install a=7 b=2", "1500 announce"]);
    bench.wait_until(1600);
    assert_eq!(bench.take_done(), ["1540 stage a=7"]);
}

#[test]
fn too_few_hosts_leave_the_file_as_it_is_and_are_told_of_once() {
    let mut bench = Bench::of(Some("n<10"), 2);
    bench.farm.insert(host("a"), record(&json!({"n": 1})));
    bench.step(Event::Complete);
    assert_eq!(bench.take_done(), ["0 withhold 1"]);
    bench.set(1000, "b", 20);
    bench.set(2000, "b", 2);
    assert_eq!(bench.take_done(), ["2000 release", "2000 store a=1 b=2", "2000 begin"]);
    bench.set(3000, "a", 10);
    bench.set(4000, "b", 10);
    assert_eq!(bench.mirror.trouble(), Some(Trouble::TooFew(0)));
    bench.wait_until(100_000);
    assert_eq!(bench.take_done(), ["3000 withhold 1"]);
    // The file was not touched, and needs not be.
    bench.set(100_000, "a", 1);
    bench.set(101_000, "b", 2);
    bench.wait_until(102_000);
    assert_eq!(bench.take_done(), ["101000 release"]);
    assert!(bench.mirror.is_current());
}

#[test]
fn a_host_that_comes_back_as_the_file_has_it_may_be_one_host_enough() {
    let mut bench = Bench::of(None, 2);
    for (name, n) in [("a", 1), ("b", 2), ("c", 3)] {
        bench.set(0, name, n);
    }
    bench.step(Event::Complete);
    bench.remove(1000, "a");
    bench.remove(1000, "b");
    bench.wait_until(2000);
    let done = bench.take_done();
    assert_eq!(done[2..], ["1050 withhold 1"]);
    bench.set(3000, "b", 2);
    assert_eq!(bench.take_done(), ["3000 release", "3000 store b=2 c=3", "3000 announce"]);
    assert!(bench.mirror.is_current());
}

#[test]
fn a_host_that_is_again_as_the_file_has_it_makes_of_what_was_refused_another_farm() {
    let mut bench = checking();
    bench.set(1000, "a", 7);
    bench.set(1010, "b", 8);
    bench.step(Event::Refused);
    bench.wait_until(2000);
    bench.step(Event::Refused);
    assert_eq!(bench.take_done(), ["1000 stage a=7 b=2", "1060 stage a=7 b=8"]);
    bench.set(5000, "b", 2);
    assert_eq!(bench.take_done(), ["5000 stage a=7 b=2"]);
}

#[test]
fn hosts_that_just_left_still_count() {
    let mut bench = Bench::of(None, 2);
    bench.set(0, "a", 1);
    bench.set(0, "b", 2);
    bench.step(Event::Complete);
    bench.remove(1000, "a");
    bench.set(1010, "b", 3);
    bench.wait_until(2000);
    let done = bench.take_done();
    assert_eq!(done[..2], ["0 store a=1 b=2", "0 begin"]);
    assert_eq!(done[2..], ["1060 withhold 1"]);
}

#[test]
fn a_disk_that_fails_does_not_matter_while_there_are_too_few_hosts() {
    let mut bench = Bench::of(None, 2);
    bench.set(0, "a", 1);
    bench.set(0, "b", 2);
    bench.step(Event::Complete);
    bench.is_broken = true;
    bench.set(1000, "b", 3);
    bench.remove(1010, "a");
    bench.wait_until(100_000);
    assert_eq!(bench.mirror.deadline(), None);
    assert_eq!(bench.mirror.trouble(), Some(Trouble::TooFew(1)));
}

#[test]
fn whatever_a_check_says_the_file_is_right_in_the_end() {
    for seed in farm_harness::seeds(300) {
        let mut rng = Rng::with_seed(seed);
        let mut bench = checking();
        let mut at_ms = 1000;
        for n in 0..200 {
            at_ms += rng.u64(0..80);
            let name = ["a", "b", "c"][rng.usize(..3)];
            if bench.farm.get(name).is_some() && rng.bool() {
                bench.remove(at_ms, name);
            } else {
                bench.set(at_ms, name, rng.u64(0..4));
            }
            let verdict = [Event::Passed, Event::Refused, Event::Unknown, Event::Complete];
            let verdict = verdict[rng.usize(..if n % 3 == 0 { 4 } else { 2 })].clone();
            let is_answer = matches!(verdict, Event::Passed | Event::Refused);
            if !is_answer || bench.mirror.is_pending() {
                bench.step(verdict);
            }
        }
        // What was refused last is not asked about again but for this.
        bench.step(Event::Refresh);
        bench.step(Event::Complete);
        for _ in 0..5 {
            if bench.mirror.is_pending() {
                bench.step(Event::Passed);
            }
            at_ms += 600;
            bench.wait_until(at_ms);
        }
        assert_eq!(bench.file, Some(farm_value(&bench.farm)), "seed {seed}");
        assert_eq!(bench.mirror.deadline(), None, "seed {seed}");
    }
}
