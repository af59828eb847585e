//! Changes that do not restart the child (`--on-change`).

use super::fixture::{ExecFixture, stop};
use super::processes::is_alive;
use farm_harness::{Signal, eventually, holds_for};
use std::time::Duration;

/// A child that records the content at its start and on each signal.
const RELOADING_CHILD: &str = "trap 'cat conf >> signalled; echo >> signalled' HUP USR1; \
                       echo \"$$ $(cat conf)\" >> starts; while :; do sleep 0.05; done";

fn args<'a>(on_change: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["-w", "0", "-m", "conf=/conf", "-e", RELOADING_CHILD, "--on-change", on_change];
    [&args[..], more].concat()
}

#[test]
fn nothing_is_done_with_the_child_but_the_file_is_new() {
    let mut fixture = ExecFixture::with_conf("nothing_is_done", "a");
    let running = fixture.zkexec(&args("none", &[])).spawn();
    let (pid, _) = fixture.wait_starts(1);
    for content in ["b", "c", "", "d"] {
        fixture.zk.set("/conf", content).unwrap();
        fixture.wait_file("conf", content);
    }
    assert!(is_alive(pid) && fixture.starts().len() == 1);
    assert!(!fixture.scratch.join("signalled").exists());
    stop(running);
}

#[test]
fn a_signal_is_sent_when_the_file_is_there() {
    for signal in ["HUP", "usr1"] {
        let mut fixture = ExecFixture::with_conf("a_signal_is_sent", "a");
        let running = fixture.zkexec(&args(signal, &[])).spawn();
        let (pid, _) = fixture.wait_starts(1);
        fixture.zk.set("/conf", "b").unwrap();
        fixture.wait_file("signalled", "b\n");
        fixture.zk.set("/conf", "c").unwrap();
        fixture.wait_file("signalled", "b\nc\n");
        assert!(is_alive(pid) && fixture.starts().len() == 1);
        stop(running);
    }
}

#[test]
fn a_signal_that_ends_the_child_ends_us() {
    let mut fixture = ExecFixture::with_conf("ends_the_child", "a");
    let mut running = fixture.start(&["--on-change", "HUP"]);
    fixture.zk.set("/conf", "b").unwrap();
    running.wait_exit().code(129);
    assert_eq!(fixture.contents(), ["a"]);
}

#[test]
fn a_command_is_run_when_the_file_is_there_and_never_two_at_once() {
    let mut fixture = ExecFixture::with_conf("a_command_is_run", "0");
    let command = "cmd:mkdir here || touch overlap; sleep 0.05; cat conf >> ran; \
                   echo \" $ZK_EVENT\" >> ran; rmdir here";
    let running = fixture.zkexec(&args(command, &[])).spawn();
    let (pid, _) = fixture.wait_starts(1);
    for n in 1..=20 {
        fixture.zk.set("/conf", n.to_string()).unwrap();
    }
    eventually("a run with the last content", || match fixture.scratch.read("ran")? {
        ran if ran.ends_with("20 change\n") => Ok(()),
        ran => Err(ran),
    });
    assert!(is_alive(pid) && fixture.starts().len() == 1);
    assert!(!fixture.scratch.join("overlap").exists(), "never two at once");
    stop(running);
}

#[test]
fn a_command_that_fails_is_a_config_failure_and_is_tried_again() {
    let mut fixture = ExecFixture::with_conf("a_command_that_fails", "a");
    // The first run fails.
    let command = "cmd:echo $ZK_EVENT >> ran; test $(wc -l < ran) -gt 1";
    let alert = ["-a", "echo $ZKEXEC_EVENT >> alerts"];
    let running = fixture.zkexec(&args(command, &alert)).spawn();
    let (pid, _) = fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_file("alerts", "config\n");
    fixture.wait_file("ran", "change\nretry\n");
    holds_for(Duration::from_millis(200), "no further run", || match fixture.scratch.read("ran") {
        Ok(ran) if ran == "change\nretry\n" && is_alive(pid) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // The next change runs the command as before.
    fixture.zk.set("/conf", "c").unwrap();
    fixture.wait_file("ran", "change\nretry\nchange\n");
    fixture.wait_file("alerts", "config\n");
    stop(running);
}

#[test]
fn a_command_that_runs_is_ended_with_us() {
    let mut fixture = ExecFixture::with_conf("ended_with_us", "a");
    let command = "cmd:echo $$ > ran; exec sleep 1000";
    let mut running = fixture.zkexec(&args(command, &[])).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    let command = fixture.pid_in("ran");
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
    assert!(!is_alive(command));
}
