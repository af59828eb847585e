//! The soak, its quiet beginning and its end at any time.

mod chore;

use chore::{CHORE_WAIT, assert_nothing_left, chore};
use farm_harness::{Scratch, Signal, eventually_within};

#[test]
fn a_soak_without_faults_holds_and_leaves_nothing() {
    let place = Scratch::new();
    let output = chore(&place, &["soak", "--minutes", "0", "--seed", "7"]).run();
    output.ok().stderr_has("seed 7,").stderr_has("0 faults");
    assert_nothing_left(&place);
}

#[test]
fn ctrl_c_during_a_fault_leaves_nothing() {
    let place = Scratch::new();
    let mut running =
        chore(&place, &["soak", "--minutes", "1", "--seed", "7", "--verbose"]).spawn();
    eventually_within(CHORE_WAIT, "a fault falls", || {
        let log = running.stderr();
        if log.contains(" s  ") { Ok(()) } else { Err(log) }
    });
    running.signal(Signal::SIGINT);
    running.wait_exit().code(130).stderr_has("interrupted");
    assert_nothing_left(&place);
}
