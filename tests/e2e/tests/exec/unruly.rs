//! Children that misbehave.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use super::processes::{children, in_container, is_alive, process_1, wait_children, wait_gone};
use farm_harness::{Signal, Tool, eventually, patience};
use std::time::{Duration, Instant};

/// Detaches as daemons do (two forks, a session of its own) and ignores all signals but KILL.
const DEAF: &str = "#!/bin/sh\n\
    (setsid sh -c 'trap \"\" TERM HUP INT; echo $$ >> deaf; while :; do sleep 1000; done' &)\n";
/// Detaches as daemons do.
const DAEMON: &str = "#!/bin/sh\n(setsid sh -c 'echo $$ >> daemon; exec sleep 1000' &)\n";

#[test]
fn what_a_deaf_child_has_started_is_gone_by_the_kill_timeout() {
    let fixture = ExecFixture::new("a_deaf_child");
    fixture.script("deaf.sh", DEAF);
    let child = "trap '' TERM; ./deaf.sh; while :; do sleep 1000; done";
    let limit = Duration::from_millis(500);
    let mut running = fixture.zkexec(&["--kill-timeout", "0.5", "-e", child]).spawn();
    let deaf = fixture.pid_in("deaf");
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(137);
    assert!(!is_alive(deaf), "gone before we are");
    let took = asked_at.elapsed();
    assert!(limit <= took && took < limit + patience(Duration::from_secs(2)), "{took:?}");
}

#[test]
fn a_daemon_that_a_child_leaves_behind_goes_with_it() {
    let fixture = ExecFixture::new("leaves_a_daemon");
    fixture.script("daemon.sh", DAEMON);
    let wait = "while [ ! -s daemon ]; do sleep 0.02; done";
    let mut running = fixture.zkexec(&["-e", &format!("./daemon.sh; {wait}; exit 5")]).spawn();
    running.wait_exit().code(5);
    let daemon = fixture.pid_in("daemon");
    assert!(!is_alive(daemon));
}

#[test]
fn a_daemon_of_the_old_child_is_gone_before_the_new_one_starts() {
    let mut fixture = ExecFixture::with_conf("a_daemon_of_the_old_child", "a");
    fixture.script("deaf.sh", DEAF);
    let child = "left=none; for pid in $(cat deaf 2>/dev/null); do \
                 kill -0 $pid 2>/dev/null && left=$pid; done; ./deaf.sh; \
                 while [ \"$(wc -l < deaf)\" != $(cat conf) ]; do sleep 0.02; done; \
                 echo \"$$ $left\" >> starts; exec sleep 1000";
    fixture.zk.set("/conf", "1").unwrap();
    let args = ["-w", "0", "--kill-timeout", "0.3", "-m", "conf=/conf", "-e", child];
    let running = fixture.zkexec(&args).spawn();
    for round in 2..=4 {
        fixture.wait_starts(round - 1);
        fixture.zk.set("/conf", round.to_string()).unwrap();
    }
    fixture.wait_starts(4);
    assert_eq!(fixture.contents(), ["none"; 4]);
    let output = stop(running);
    let deaf = fixture.scratch.read("deaf").unwrap();
    assert!(deaf.lines().all(|pid| !is_alive(pid.parse().unwrap())), "{deaf} {output}");
}

#[test]
fn no_zombie_stays() {
    let mut fixture = ExecFixture::with_conf("no_zombie", "a");
    // Three hundred orphans that exit or are killed.
    let orphans = "i=0; while [ $i -lt 100 ]; do (true &); (sh -c 'kill -9 $$' &); \
                   (sh -c 'kill -RTMIN $$' &); i=$((i+1)); done";
    let child = format!("{orphans}; echo \"$$ $(cat conf)\" >> starts; exec sleep 1000");
    let health = "(sleep 0.01 &)";
    let args = ["-w", "0", "-m", "conf=/conf", "-H", health, "-d", "0", "-i", "0.02", "-e"];
    let running = fixture.zkexec(&args).arg(&child).spawn();
    let tool = running.pid().cast_signed();
    for (round, content) in ["b", "c"].into_iter().enumerate() {
        fixture.wait_starts(round + 1);
        running.wait_log_times("successful health check", 5 * (round + 1));
        fixture.zk.set("/conf", content).unwrap();
    }
    fixture.wait_starts(3);
    eventually("no zombies", || {
        let zombies: Vec<_> =
            children(tool).into_iter().filter(|child| child.state == 'Z').collect();
        if zombies.is_empty() { Ok(()) } else { Err(format!("{zombies:?}")) }
    });
    stop(running);
}

#[test]
fn a_child_that_stops_itself_is_ended_all_the_same() {
    let mut fixture = ExecFixture::with_conf("stops_itself", "a");
    let child = "echo \"$$ $(cat conf)\" >> starts; kill -STOP $$; exec sleep 1000";
    let running = fixture.zkexec(&["-w", "0", "-m", "conf=/conf", "-e", child]).spawn();
    let (pid, _) = fixture.wait_starts(1);
    super::processes::wait_stopped(pid);
    fixture.zk.set("/conf", "b").unwrap();
    let (pid, _) = fixture.wait_starts(2);
    super::processes::wait_stopped(pid);
    stop(running);
}

#[test]
fn a_child_that_ends_at_once_costs_one_start() {
    let mut fixture = ExecFixture::with_conf("ends_at_once", "a");
    let child =
        "echo \"$$ $(cat conf)\" >> starts; test \"$(cat conf)\" = a && exec sleep 1000; exit 9";
    let mut running = fixture.zkexec(&["-w", "0", "-m", "conf=/conf", "-e", child]).spawn();
    fixture.wait_starts(1);
    fixture.zk.set("/conf", "b").unwrap();
    running.wait_exit().code(9);
    assert_eq!(fixture.contents(), ["a", "b"]);
}

#[test]
fn a_child_that_can_not_be_started_again_ends_us_as_a_shell_would() {
    for (break_it, code) in [("rm child", 127), ("chmod 644 child", 126)] {
        let mut fixture = ExecFixture::with_conf("can_not_be_started_again", "a");
        fixture.script("child", &format!("#!/bin/sh\n{RECORDING_CHILD}\n"));
        let args = ["-w", "0", "-m", "conf=/conf", "-a", "echo $ZKEXEC_EVENT >> alerts", "--"];
        let mut running = fixture.zkexec(&args).arg("./child").spawn();
        fixture.wait_starts(1);
        Tool::program("sh").args(["-c", break_it]).cwd(fixture.scratch.path()).run().ok();
        fixture.zk.set("/conf", "b").unwrap();
        running.wait_exit().code(code).stderr_has("cannot run ./child");
        fixture.wait_file("alerts", "exit\n");
    }
}

#[test]
fn a_child_that_lost_its_parent_is_reaped_while_it_runs() {
    let fixture = ExecFixture::new("lost_its_parent");
    fixture.script("daemon.sh", DAEMON);
    let running = fixture.zkexec(&["-e", "./daemon.sh; exec sleep 1000"]).spawn();
    let tool = running.pid().cast_signed();
    let daemon = fixture.pid_in("daemon");
    let family = wait_children(tool, 2);
    assert!(family.iter().any(|child| child.pid == daemon), "{family:?}");
    super::processes::send(daemon, Signal::SIGKILL);
    wait_children(tool, 1);
    stop(running);
}

#[test]
fn as_the_first_process_of_a_container_it_reaps_and_ends_all() {
    let mut fixture = ExecFixture::with_conf("first_process", "a");
    fixture.script("deaf.sh", DEAF);
    let tool = fixture.configure(in_container("zkexec"));
    let child = "trap '' TERM; test $PPID = 1 && ./deaf.sh; (sh -c 'exit 3' &); \
                 while [ ! -s deaf ]; do sleep 0.02; done; \
                 echo \"$$ $(cat conf)\" >> starts; while :; do sleep 1000; done";
    let tool = tool.args(["-w", "0", "--kill-timeout", "0.3", "-m", "conf=/conf", "-e", child]);
    let mut running = tool.spawn();
    fixture.wait_starts(1);
    let init = process_1(&running);
    // The child, and the orphaned daemon.
    let family = wait_children(init, 2);
    fixture.zk.set("/conf", "b").unwrap();
    fixture.wait_starts(2);
    family.iter().for_each(|process| wait_gone(process.pid));
    let family = wait_children(init, 2);
    super::processes::send(init, Signal::SIGTERM);
    running.wait_exit().code(137);
    family.iter().for_each(|process| wait_gone(process.pid));
}
