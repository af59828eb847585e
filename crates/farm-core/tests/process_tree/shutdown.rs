//! How a process tree ends.

use crate::ward::{Run, Ward, children_of, group, is_alive, is_stopped, wait_until};
use farm_harness::{eventually, patience};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::{Duration, Instant};

const DEAF: &str = "trap '' TERM INT HUP";

pub(crate) fn a_child_that_ends_when_asked_is_not_killed() {
    let ward = Ward::shell("trap 'kill $!; exit 9' INT; echo $$ >up; sleep 60 & wait");
    ward.pid_in("up");
    ward.tell("stop INT 60000");
    ward.first("ended 9");
    ward.wait_for_end();
    assert!(ward.quit().success());
}

pub(crate) fn who_ignores_term_is_gone_at_the_kill_timeout_with_its_children() {
    let ward = Ward::shell(&format!("{DEAF}; (echo $$ >up; sleep 60; sleep 60) & sleep 61; wait"));
    ward.pid_in("up");
    ward.wait_for(4);
    let start = Instant::now();
    ward.tell("stop TERM 400");
    ward.first("ended 137");
    ward.wait_for_end();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400), "killed after {took:?}");
    assert!(took < patience(Duration::from_secs(3)), "gone after {took:?}");
}

pub(crate) fn a_daemon_of_the_child_is_asked_once_and_waited_for() {
    let daemon = "trap 'echo asked >>asked; sleep 0.3; echo end >end; exit' TERM; \
        sleep 0.3; echo $$ >daemon; while :; do sleep 0.05; done";
    let daemon = daemon.replace('\'', "'\\''");
    let ward = Ward::shell(&format!(
        "trap 'sleep 0.3; test -e asked || echo before >child; exit 6' TERM; \
         (setsid sh -c '{daemon}' &); while :; do sleep 0.05; done"
    ));
    let daemon = ward.pid_in("daemon");
    assert_ne!(group(daemon), ward.child());
    ward.tell("stop TERM 60000");
    ward.first("ended 6");
    ward.wait_for_end();
    // The child could use it to its end.
    assert_eq!(ward.scratch.read("child").unwrap(), "before\n");
    assert_eq!(ward.scratch.read("end").unwrap(), "end\n");
    assert_eq!(ward.scratch.read("asked").unwrap(), "asked\n");
}

pub(crate) fn a_group_is_asked_once() {
    // The child goes at once; its own child, of the same group, counts.
    let counting = "trap 'echo asked >>asked' TERM; sleep 0.3; echo $$ >counting; \
        while :; do sleep 0.05; done";
    let ward = Ward::shell(&format!("sh -c '{}' & exec sleep 60", counting.replace('\'', "'\\''")));
    let counting = ward.pid_in("counting");
    assert_eq!(group(counting), ward.child());
    ward.tell("stop TERM 2000");
    ward.first("ended 143");
    ward.wait_for_text("asked", "asked");
    ward.wait_for_end();
    assert_eq!(ward.scratch.read("asked").unwrap(), "asked\n");
}

pub(crate) fn who_was_forked_too_late_to_be_asked_does_not_sit_until_it_is_killed() {
    let ward = Ward::shell(
        "trap 'sh -c \"echo \\$\\$ >late; exec sleep 60\" & exit 4' TERM; \
         echo $$ >up; while :; do sleep 0.05; done",
    );
    ward.pid_in("up");
    let start = Instant::now();
    ward.tell("stop TERM 60000");
    ward.first("ended 4");
    ward.wait_for_end();
    assert!(!is_alive(ward.pid_in("late")));
    assert!(start.elapsed() < patience(Duration::from_secs(10)), "{:?}", start.elapsed());
}

pub(crate) fn daemons_of_daemons_that_ignore_everything_are_gone() {
    // Each starts the next in a session of its own, and outlives the one before.
    let script = format!(
        "{DEAF}\n[ \"$1\" = 0 ] || setsid sh ./deep $(($1 - 1)) &\nwhile :; do sleep 60; done\n"
    );
    let ward = Ward::shell("while [ ! -e deep ]; do sleep 0.01; done; sh ./deep 6 & exit 5");
    appear(&ward, "deep", &script);
    ward.first("ended 5");
    // Seven shells and what they sleep in.
    ward.wait_for(14);
    assert_eq!(ward.count("gone"), 0);
    ward.tell("stop TERM 300");
    ward.wait_for_end();
}

pub(crate) fn a_chain_of_forks_is_outrun() {
    // Each lives just long enough to start the next one, some in sessions of their own.
    for (name, next) in [("near", "sh ./chain"), ("far", "setsid sh ./chain")] {
        let script = format!("{DEAF}\necho $$ >last\n{next} &\n");
        let ward = Ward::shell("while [ ! -e chain ]; do sleep 0.01; done; sh ./chain & exit 5");
        appear(&ward, "chain", &script);
        ward.first("ended 5");
        let first = ward.pid_in("last");
        wait_until("the chain goes on", || {
            ward.scratch.read("last").is_ok_and(|last| last.trim() != first.to_string())
        });
        ward.tell("stop TERM 100");
        eventually(&format!("the end of a chain {name}"), || match ward.count("gone") {
            0 => Err(format!("{:?}", ward.log())),
            _ => Ok(()),
        });
        ward.wait_for_end();
    }
}

/// Puts a file there, all of it at once.
fn appear(ward: &Ward, name: &str, script: &str) {
    let path = ward.scratch.write(format!("{name}.new"), script);
    fs::rename(path, ward.scratch.join(name)).unwrap();
}

pub(crate) fn a_stopped_child_can_act_when_it_is_asked() {
    let ward = Ward::shell("trap 'echo asked >asked; exit 4' TERM; echo $$ >up; kill -STOP $$");
    let child = ward.pid_in("up");
    assert_eq!(ward.first("stopped "), "19");
    assert!(is_stopped(child));
    // Without a terminal it is nobody's business but of who stopped it.
    assert!(!is_stopped(ward.pid()));
    ward.tell("stop TERM 60000");
    ward.first("ended 4");
    ward.wait_for_end();
    assert_eq!(ward.scratch.read("asked").unwrap(), "asked\n");
}

pub(crate) fn a_kill_takes_all_at_once() {
    let ward = Ward::shell(&format!(
        "{DEAF}; setsid sh -c 'echo $$ >daemon; sleep 60; :' & echo $$ >up; sleep 61; :"
    ));
    ward.pid_in("up");
    ward.pid_in("daemon");
    ward.wait_for(4);
    ward.tell("stop TERM 60000");
    ward.first("done stop");
    assert_eq!(ward.count("ended"), 0);
    ward.tell("kill");
    ward.first("ended 137");
    ward.wait_for_end();
}

pub(crate) fn what_the_child_leaves_behind_lives_until_it_is_stopped() {
    let ward = Ward::shell("setsid sh -c 'echo $$ >daemon; exec sleep 60' & exit 3");
    let daemon = ward.pid_in("daemon");
    ward.first("ended 3");
    // A hook's end is a reason to look around, too.
    ward.tell("hook true");
    ward.first("hook true");
    assert!(is_alive(daemon) && ward.count("gone") == 0, "{:?}", ward.log());
    ward.tell("stop TERM 60000");
    ward.wait_for_end();
}

pub(crate) fn orphans_are_reaped_while_the_child_lives() {
    let ward = Ward::shell(
        "i=0; while [ $i -lt 100 ]; do (sleep 0.05 & (sleep 0.01; kill -40 $(exec sh -c 'echo $PPID')) &); i=$((i+1)); done; \
         echo $$ >done; exec sleep 60",
    );
    let child = ward.pid_in("done");
    eventually("no zombie", || {
        let children = children_of(ward.pid());
        if children == [child] { Ok(()) } else { Err(format!("{children:?} but {child}")) }
    });
    assert!(is_alive(child) && ward.count("gone") == 0);
    ward.tell("stop TERM 60000");
    ward.wait_for_end();
}

pub(crate) fn a_new_child_is_not_killed_by_the_stop_of_the_old_one() {
    let ward =
        Ward::shell("setsid sh -c 'trap \"\" TERM; echo up >>up; sleep 60; :' & exec sleep 61");
    ward.wait_for_text("up", "up");
    ward.wait_for(3);
    ward.tell("stop TERM 2000");
    // The child has gone, its daemon has not.
    ward.first("ended 143");
    ward.tell("start");
    let second = ward.nth(1, "up ").parse().unwrap();
    ward.tell("hook sleep 2.5");
    ward.first("hook true");
    assert!(is_alive(second) && ward.count("gone") == 0, "{:?}", ward.log());
    ward.tell("stop TERM 100");
    ward.wait_for_end();
}

pub(crate) fn the_child_dies_with_a_parent_that_was_killed() {
    for run in [Run::Shell("trap '' TERM; echo $$ >up; exec sleep 60"), Run::Argv(&["sleep", "60"])]
    {
        let mut ward = Ward::start(&run, &[], |_| {});
        let child = ward.child();
        wait_until("the program runs", || {
            fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "sleep\n")
        });
        kill(Pid::from_raw(ward.pid()), Signal::SIGKILL).unwrap();
        ward.warden.wait().unwrap();
        ward.wait_for(0);
    }
}

pub(crate) fn the_child_dies_with_a_parent_that_panics() {
    let mut ward = Ward::start(
        &Run::Shell("trap '' TERM; (trap '' TERM; sleep 60; :) & echo $$ >up; sleep 61; :"),
        &[],
        |command| {
            command.stderr(std::process::Stdio::null());
        },
    );
    ward.pid_in("up");
    ward.wait_for(4);
    ward.tell("panic");
    ward.warden.wait().unwrap();
    // Not the child alone: its whole group.
    ward.wait_for(0);
}
