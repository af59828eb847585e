//! The end of a process tree.

use crate::host_process::{HostProcess, Run, children_of, group, is_alive, is_stopped, wait_until};
use farm_harness::{eventually, patience};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

const IGNORES_TERM: &str = "trap '' TERM INT HUP";

pub(crate) fn a_child_that_ends_when_asked_is_not_killed() {
    let host = HostProcess::shell("trap 'kill $!; exit 9' INT; echo $$ >up; sleep 60 & wait");
    host.pid_in("up");
    host.tell("stop INT 60000");
    host.first("ended 9");
    host.wait_for_end();
    assert!(host.quit().success());
}

pub(crate) fn a_child_that_ignores_term_is_gone_at_the_kill_timeout_with_its_children() {
    let host = HostProcess::shell(&format!(
        "{IGNORES_TERM}; (echo $$ >up; sleep 60; sleep 60) & sleep 61; wait"
    ));
    host.pid_in("up");
    host.wait_for(4);
    let start = Instant::now();
    host.tell("stop TERM 400");
    host.first("ended 137");
    host.wait_for_end();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400), "killed after {took:?}");
    assert!(took < patience(Duration::from_secs(3)), "gone after {took:?}");
}

pub(crate) fn a_daemon_of_the_child_is_asked_once_and_waited_for() {
    let daemon = "trap 'echo asked >>asked; sleep 0.3; echo end >end; exit' TERM; \
        sleep 0.3; echo $$ >daemon; while :; do sleep 0.05; done";
    let daemon = daemon.replace('\'', "'\\''");
    let host = HostProcess::shell(&format!(
        "trap 'sleep 0.3; test -e asked || echo before >child; exit 6' TERM; \
         (setsid sh -c '{daemon}' &); while :; do sleep 0.05; done"
    ));
    let daemon = host.pid_in("daemon");
    assert_ne!(group(daemon), host.child());
    host.tell("stop TERM 60000");
    host.first("ended 6");
    host.wait_for_end();
    // The daemon outlived the child, which could use it until then.
    assert_eq!(host.scratch.read("child").unwrap(), "before\n");
    assert_eq!(host.scratch.read("end").unwrap(), "end\n");
    assert_eq!(host.scratch.read("asked").unwrap(), "asked\n");
}

pub(crate) fn a_group_is_asked_once() {
    // The child ends at once; its own child, in the same group, records each signal.
    let counting = "trap 'echo asked >>asked' TERM; sleep 0.3; echo $$ >counting; \
        while :; do sleep 0.05; done";
    let host =
        HostProcess::shell(&format!("sh -c '{}' & exec sleep 60", counting.replace('\'', "'\\''")));
    let counting = host.pid_in("counting");
    assert_eq!(group(counting), host.child());
    host.tell("stop TERM 2000");
    host.first("ended 143");
    host.wait_for_text("asked", "asked");
    host.wait_for_end();
    assert_eq!(host.scratch.read("asked").unwrap(), "asked\n");
}

pub(crate) fn a_process_forked_after_the_signal_does_not_wait_for_the_kill() {
    let host = HostProcess::shell(
        "trap 'sh -c \"echo \\$\\$ >late; exec sleep 60\" & exit 4' TERM; \
         echo $$ >up; while :; do sleep 0.05; done",
    );
    host.pid_in("up");
    let start = Instant::now();
    host.tell("stop TERM 60000");
    host.first("ended 4");
    host.wait_for_end();
    assert!(!is_alive(host.pid_in("late")));
    assert!(start.elapsed() < patience(Duration::from_secs(10)), "{:?}", start.elapsed());
}

pub(crate) fn daemons_of_daemons_that_ignore_everything_are_gone() {
    // Each shell starts the next in a session of its own, and outlives the one before.
    let script = format!(
        "{IGNORES_TERM}\n[ \"$1\" = 0 ] || setsid sh ./deep $(($1 - 1)) &\nwhile :; do sleep 60; done\n"
    );
    let host = HostProcess::shell("while [ ! -e deep ]; do sleep 0.01; done; sh ./deep 6 & exit 5");
    write_atomically(&host, "deep", &script);
    host.first("ended 5");
    // Seven shells and their sleep commands.
    host.wait_for(14);
    assert_eq!(host.count("gone"), 0);
    host.tell("stop TERM 300");
    host.wait_for_end();
}

pub(crate) fn a_chain_of_forks_is_killed() {
    // Each lives just long enough to start the next one, in the second chain in a new session.
    for (name, next) in [("near", "sh ./chain"), ("far", "setsid sh ./chain")] {
        let script = format!("{IGNORES_TERM}\necho $$ >last\n{next} &\n");
        let host =
            HostProcess::shell("while [ ! -e chain ]; do sleep 0.01; done; sh ./chain & exit 5");
        write_atomically(&host, "chain", &script);
        host.first("ended 5");
        let first = host.pid_in("last");
        wait_until("the chain grows", || {
            host.scratch.read("last").is_ok_and(|last| last.trim() != first.to_string())
        });
        host.tell("stop TERM 100");
        eventually(&format!("the end of a chain {name}"), || match host.count("gone") {
            0 => Err(format!("{:?}", host.log())),
            _ => Ok(()),
        });
        host.wait_for_end();
    }
}

/// Writes a file that appears complete.
fn write_atomically(host: &HostProcess, name: &str, script: &str) {
    let path = host.scratch.write(format!("{name}.new"), script);
    fs::rename(path, host.scratch.join(name)).unwrap();
}

pub(crate) fn a_stopped_child_can_act_when_it_is_asked() {
    let host =
        HostProcess::shell("trap 'echo asked >asked; exit 4' TERM; echo $$ >up; kill -STOP $$");
    let child = host.pid_in("up");
    assert_eq!(host.first("stopped "), "19");
    assert!(is_stopped(child));
    // Without a terminal the host ignores the stop.
    assert!(!is_stopped(host.pid()));
    host.tell("stop TERM 60000");
    host.first("ended 4");
    host.wait_for_end();
    assert_eq!(host.scratch.read("asked").unwrap(), "asked\n");
}

pub(crate) fn a_kill_takes_all_at_once() {
    let host = HostProcess::shell(&format!(
        "{IGNORES_TERM}; setsid sh -c 'echo $$ >daemon; sleep 60; :' & echo $$ >up; sleep 61; :"
    ));
    host.pid_in("up");
    host.pid_in("daemon");
    host.wait_for(4);
    host.tell("stop TERM 60000");
    host.first("done stop");
    assert_eq!(host.count("ended"), 0);
    host.tell("kill");
    host.first("ended 137");
    host.wait_for_end();
}

pub(crate) fn what_the_child_leaves_behind_lives_until_it_is_stopped() {
    let host = HostProcess::shell("setsid sh -c 'echo $$ >daemon; exec sleep 60' & exit 3");
    let daemon = host.pid_in("daemon");
    host.first("ended 3");
    // The end of a hook makes the host reap, too.
    host.tell("hook true");
    host.first("hook true");
    assert!(is_alive(daemon) && host.count("gone") == 0, "{:?}", host.log());
    host.tell("stop TERM 60000");
    host.wait_for_end();
}

pub(crate) fn orphans_are_reaped_while_the_child_lives() {
    let host = HostProcess::shell(
        "i=0; while [ $i -lt 100 ]; do (sleep 0.05 & (sleep 0.01; kill -40 $(exec sh -c 'echo $PPID')) &); i=$((i+1)); done; \
         echo $$ >done; exec sleep 60",
    );
    let child = host.pid_in("done");
    eventually("no zombie", || {
        let children = children_of(host.pid());
        if children == [child] { Ok(()) } else { Err(format!("{children:?} but {child}")) }
    });
    assert!(is_alive(child) && host.count("gone") == 0);
    host.tell("stop TERM 60000");
    host.wait_for_end();
}

pub(crate) fn a_new_child_is_not_killed_by_the_stop_of_the_old_one() {
    let host = HostProcess::shell(
        "setsid sh -c 'trap \"\" TERM; echo up >>up; sleep 60; :' & exec sleep 61",
    );
    host.wait_for_text("up", "up");
    host.wait_for(3);
    host.tell("stop TERM 2000");
    // The child has ended, its daemon has not.
    host.first("ended 143");
    host.tell("start");
    let second = host.nth(1, "up ").parse().unwrap();
    host.tell("hook sleep 2.5");
    host.first("hook true");
    assert!(is_alive(second) && host.count("gone") == 0, "{:?}", host.log());
    host.tell("stop TERM 100");
    host.wait_for_end();
}

pub(crate) fn the_child_dies_with_a_parent_that_was_killed() {
    for run in [Run::Shell("trap '' TERM; echo $$ >up; exec sleep 60"), Run::Argv(&["sleep", "60"])]
    {
        let mut host = HostProcess::start(&run, &[], |_| {});
        let child = host.child();
        wait_until("the program runs", || {
            fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "sleep\n")
        });
        kill(Pid::from_raw(host.pid()), Signal::SIGKILL).unwrap();
        host.process.wait().unwrap();
        host.wait_for(0);
    }
}

pub(crate) fn the_child_dies_with_a_parent_that_panics() {
    let mut host = HostProcess::start(
        &Run::Shell("trap '' TERM; (trap '' TERM; sleep 60; :) & echo $$ >up; sleep 61; :"),
        &[],
        |command| {
            command.stderr(std::process::Stdio::null());
        },
    );
    host.pid_in("up");
    host.wait_for(4);
    host.tell("panic");
    host.process.wait().unwrap();
    // The whole group of the child is gone.
    host.wait_for(0);
}
