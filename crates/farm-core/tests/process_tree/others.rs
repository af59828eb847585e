//! Processes that are not part of the process tree, or can't be signalled.

use crate::host_process::{
    HostProcess, Run, arguments, children_of, control_dir, is_alive, stat, wait_until,
};
use farm_harness::{die_with_parent, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

const CHILD: &str = "trap '' TERM; echo $$ >up; sleep 60; :";

fn remark(line: &str) {
    drop(writeln!(std::io::stderr(), "{line}"));
}

pub(crate) fn a_hook_beside_is_neither_killed_nor_reaped() {
    let host = HostProcess::shell(CHILD);
    host.pid_in("up");
    // The hook waits for a process in another session, and leaves one in its own group behind.
    let far = "while [ ! -e go ]; do sleep 0.05; done; echo fine >far";
    host.tell(&format!(
        "hook (sleep 60 &); setsid sh -c '{far}' & echo $$ >near; wait; test -e far"
    ));
    host.pid_in("near");
    host.tell("stop TERM 100");
    host.first("ended 137");
    host.first("gone");
    assert_eq!(host.count("hook"), 0, "{:?}", host.log());
    host.scratch.write("go", "");
    host.first("hook true");
    assert_eq!(host.count("log "), 0, "{:?}", host.log());
    eventually("no child is left", || match children_of(host.pid()).as_slice() {
        [] => Ok(()),
        left => Err(format!("{left:?}")),
    });
}

pub(crate) fn orphans_behind_an_ended_hook_are_reaped() {
    let host = HostProcess::argv(&["sleep", "60"]);
    let child = host.child();
    for number in 0..20 {
        host.tell("hook for i in 1 2 3 4 5; do (true &); (sleep 0.01 &); done");
        host.nth(number, "hook true");
    }
    eventually("no zombie", || match children_of(host.pid()).as_slice() {
        [left] if *left == child => Ok(()),
        left => Err(format!("{left:?}")),
    });
    assert_eq!(host.count("ended"), 0);
}

pub(crate) fn inherited_children_stay_and_are_reaped() {
    let script = "sleep 60 & echo $! >before; sleep 0.3 & echo $! >short; exec \"$@\"";
    let host = HostProcess::start(&Run::Shell(CHILD), &["sh", "-c", script, "sh"], |_| {});
    let (before, short) = (host.pid_in("before"), host.pid_in("short"));
    host.pid_in("up");
    host.tell("stop TERM 100");
    host.first("ended 137");
    host.first("gone");
    assert!(is_alive(before));
    wait_until("the one that ended is reaped", || stat(short).is_empty());
    // The same holds for the next child.
    host.tell("start");
    host.nth(1, "up ");
    host.tell("kill");
    host.nth(1, "gone");
    assert!(is_alive(before));
    kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
    wait_until("the other one is reaped", || stat(before).is_empty());
}

pub(crate) fn pid_1_of_a_container_does_the_same() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut trial = Command::new(unshare[0]);
    trial.args(&unshare[1..]).arg("true").stderr(Stdio::null());
    let may = trial.status().is_ok_and(|status| status.success());
    if !may {
        remark("no pid namespace here: tested without being pid 1");
    }
    let below: &[&str] = if may { &unshare } else { &[] };
    let line = "i=0; while [ $i -lt 20 ]; do (true &); i=$((i+1)); done; \
        trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ >daemon; sleep 60; :' & \
        echo $$ >up; sleep 61; :";
    let host = HostProcess::start(&Run::Shell(line), below, |_| {});
    host.pid_in("up");
    host.pid_in("daemon");
    host.wait_for(4);
    let host_pid = if may { children_of(host.pid())[0] } else { host.pid() };
    let status = fs::read_to_string(format!("/proc/{host_pid}/status")).unwrap();
    let number = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap();
    assert_eq!(number.split_whitespace().last() == Some("1"), may, "{number}");

    host.tell("hook true");
    host.first("hook true");
    host.tell("stop TERM 300");
    host.first("ended 137");
    host.first("gone");
    assert_eq!(host.living(), [] as [i32; 0]);
    assert_eq!(children_of(host_pid), [] as [i32; 0]);
    host.tell("start");
    host.nth(1, "up ");
    host.tell("signal KILL");
    host.nth(1, "ended 137");
}

pub(crate) fn a_process_that_can_not_be_signalled_is_logged_once_and_waited_for() {
    let Some((host, root)) = unprivileged() else {
        remark("not root, so we may signal every process here: not tested");
        return;
    };
    host.tell("stop TERM 200");
    host.first("ended 143");
    let refusal = "log a descendant of the child can't be signalled: EPERM";
    assert!(host.first(refusal).ends_with("name=\"sleep\""), "{:?}", host.log());
    host.tell("hook sleep 1");
    host.first("hook true");
    assert!(host.count(refusal) == 1 && host.count("gone") == 0, "{:?}", host.log());
    kill(Pid::from_raw(root), Signal::SIGKILL).unwrap();
    host.first("gone");
}

/// A host of user nobody with a grandchild of user root.
fn unprivileged() -> Option<(HostProcess, i32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let scratch = control_dir();
    let opened = |name: &str, mode| {
        fs::set_permissions(scratch.join(name), Permissions::from_mode(mode)).unwrap();
    };
    scratch.program(&std::env::current_exe().unwrap(), "host");
    let setpriv = farm_harness::toolbox::in_path("setpriv").unwrap();
    scratch.program(&setpriv, "rise");
    opened("", 0o777);
    opened("host", 0o755);
    opened("rise", 0o4755);
    opened("log", 0o666);
    opened("control", 0o666);
    let line = "./rise --reuid 0 --regid 0 --clear-groups sh -c 'echo $$ >root; exec sleep 60' & \
        exec sleep 61";
    let words = arguments(&scratch, "stay", &Run::Shell(line));
    let mut command = die_with_parent("setpriv".as_ref());
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(scratch.join("host")).args(&words[1..]);
    let process = command.current_dir(scratch.path()).stdin(Stdio::null()).spawn().unwrap();
    let host = HostProcess::of(scratch, process);
    let root = host.pid_in("root");
    host.child();
    Some((host, root))
}
