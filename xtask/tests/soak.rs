//! The soak test, without faults and interrupted.

mod task;

use farm_harness::{Scratch, Signal, eventually_within};
use task::{TASK_WAIT, assert_nothing_left, task};

#[test]
fn a_soak_without_faults_holds_and_leaves_nothing() {
    let dir = Scratch::new();
    let output = task(&dir, &["soak", "--minutes", "0", "--seed", "7"]).run();
    output.ok().stderr_has("seed 7,").stderr_has("0 faults");
    assert_nothing_left(&dir);
}

#[test]
fn ctrl_c_during_a_fault_leaves_nothing() {
    let dir = Scratch::new();
    let mut running = task(&dir, &["soak", "--minutes", "1", "--seed", "7", "--verbose"]).spawn();
    eventually_within(TASK_WAIT, "a fault is injected", || {
        let log = running.stderr();
        if log.contains(" s  ") { Ok(()) } else { Err(log) }
    });
    running.signal(Signal::SIGINT);
    running.wait_exit().code(130).stderr_has("interrupted");
    assert_nothing_left(&dir);
}
