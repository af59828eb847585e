//! Who is not of the process tree, or not within reach.

use crate::ward::{Run, Ward, children_of, is_alive, place, stat, wait_until, words};
use farm_harness::{eventually, mortal};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const DEAF: &str = "trap '' TERM; echo $$ >up; sleep 60; :";

fn remark(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

pub(crate) fn a_hook_beside_is_neither_killed_nor_reaped() {
    let ward = Ward::shell(DEAF);
    ward.pid_in("up");
    // With a part in another session that it looks after, and one in its own group that it
    // does not.
    let far = "while [ ! -e go ]; do sleep 0.05; done; echo fine >far";
    ward.tell(&format!(
        "hook (sleep 60 &); setsid sh -c '{far}' & echo $$ >near; wait; test -e far"
    ));
    ward.pid_in("near");
    ward.tell("stop TERM 100");
    ward.first("ended 137");
    ward.first("gone");
    assert_eq!(ward.count("hook"), 0, "{:?}", ward.log());
    ward.scratch.write("go", "");
    ward.first("hook true");
    assert_eq!(ward.count("log "), 0, "{:?}", ward.log());
    eventually("nobody is left", || match children_of(ward.pid()).as_slice() {
        [] => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

pub(crate) fn orphans_behind_an_ended_hook_are_reaped() {
    let ward = Ward::argv(&["sleep", "60"]);
    let child = ward.child();
    for number in 0..20 {
        ward.tell("hook for i in 1 2 3 4 5; do (true &); (sleep 0.01 &); done");
        ward.nth(number, "hook true");
    }
    eventually("no zombie", || match children_of(ward.pid()).as_slice() {
        [left] if *left == child => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_eq!(ward.count("ended"), 0);
}

pub(crate) fn what_was_there_before_us_stays_and_is_reaped() {
    let script = "sleep 60 & echo $! >before; sleep 0.3 & echo $! >short; exec \"$@\"";
    let ward = Ward::start(&Run::Shell(DEAF), &["sh", "-c", script, "sh"], |_| {});
    let (before, short) = (ward.pid_in("before"), ward.pid_in("short"));
    ward.pid_in("up");
    ward.tell("stop TERM 100");
    ward.first("ended 137");
    ward.first("gone");
    assert!(is_alive(before));
    wait_until("the one that ended is reaped", || stat(short).is_empty());
    // The next process tree is one like any other.
    ward.tell("start");
    ward.nth(1, "up ");
    ward.tell("kill");
    ward.nth(1, "gone");
    assert!(is_alive(before));
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    wait_until("the other one is reaped", || stat(before).is_empty());
}

pub(crate) fn the_first_process_of_a_container_does_the_same() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut trial = Command::new(unshare[0]);
    trial.args(&unshare[1..]).arg("true").stderr(Stdio::null());
    let may = trial.status().is_ok_and(|status| status.success());
    if !may {
        remark("no pid namespace can be had here: the same without being the first process");
    }
    let below: &[&str] = if may { &unshare } else { &[] };
    let line = "i=0; while [ $i -lt 20 ]; do (true &); i=$((i+1)); done; \
        trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >daemon; sleep 60; :' & \
        echo $$ >up; sleep 61; :";
    let ward = Ward::start(&Run::Shell(line), below, |_| {});
    ward.pid_in("up");
    ward.pid_in("daemon");
    ward.wait_for(4);
    let warden = if may { children_of(ward.pid())[0] } else { ward.pid() };
    let status = fs::read_to_string(format!("/proc/{warden}/status")).unwrap();
    let number = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(number.split_whitespace().last() == Some("1"), may, "{number}");

    ward.tell("hook true");
    ward.first("hook true");
    ward.tell("stop TERM 300");
    ward.first("ended 137");
    ward.first("gone");
    assert_eq!(ward.living(), [] as [i32; 0]);
    assert_eq!(children_of(warden), [] as [i32; 0]);
    ward.tell("start");
    ward.nth(1, "up ");
    ward.tell("signal KILL");
    ward.nth(1, "ended 137");
}

pub(crate) fn who_can_not_be_signalled_is_told_of_once_and_not_forgotten() {
    let Some((ward, root)) = unprivileged() else {
        remark("not root: nobody is here whom we could not signal; not tested");
        return;
    };
    ward.tell("stop TERM 200");
    ward.first("ended 143");
    let refusal = "log a descendant of the child can't be signalled: EPERM";
    assert!(ward.first(refusal).ends_with("name=\"sleep\""), "{:?}", ward.log());
    ward.tell("hook sleep 1");
    ward.first("hook true");
    assert!(ward.count(refusal) == 1 && ward.count("gone") == 0, "{:?}", ward.log());
    kill(Pid::from_raw(root), Signal::SIGKILL).unwrap();
    ward.first("gone");
}

/// A warden of nobody with a grandchild of root.
fn unprivileged() -> Option<(Ward, i32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let scratch = place();
    let opened = |name: &str, mode| {
        fs::set_permissions(scratch.join(name), Permissions::from_mode(mode)).unwrap();
    };
    scratch.program(&std::env::current_exe().unwrap(), "warden");
    let setpriv = farm_harness::toolbox::in_path("setpriv").unwrap();
    scratch.program(&setpriv, "rise");
    opened("", 0o777);
    opened("warden", 0o755);
    opened("rise", 0o4755);
    opened("log", 0o666);
    opened("control", 0o666);
    let line = "./rise --reuid 0 --regid 0 --clear-groups sh -c 'echo $$ >root; exec sleep 60' & \
        exec sleep 61";
    let words = words(&scratch, "stay", &Run::Shell(line));
    let mut command = mortal("setpriv".as_ref());
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(scratch.join("warden")).args(&words[1..]);
    let warden = command.current_dir(scratch.path()).stdin(Stdio::null()).spawn().unwrap();
    let ward = Ward::of(scratch, warden);
    let root = ward.pid_in("root");
    ward.child();
    Some((ward, root))
}
