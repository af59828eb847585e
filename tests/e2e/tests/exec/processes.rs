//! Reads processes from `/proc`.

use farm_harness::{Running, Tool, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::process::Command;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
}

/// A process, unless it has ended and was reaped.
pub(crate) fn process(pid: i32) -> Option<Process> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    let words: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(Process {
        pid,
        state: words[0].chars().next()?,
        parent: words[1].parse().ok()?,
        group: words[2].parse().ok()?,
    })
}

/// The children of a process, including zombies.
pub(crate) fn children(parent: i32) -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(process).filter(|process| process.parent == parent).collect()
}

/// Whether a process exists and is no zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    process(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'))
}

pub(crate) fn is_stopped(pid: i32) -> bool {
    process(pid).is_some_and(|process| process.state == 'T')
}

#[track_caller]
pub(crate) fn wait_stopped(pid: i32) {
    eventually("it is stopped", || if is_stopped(pid) { Ok(()) } else { Err("it runs") });
}

#[track_caller]
pub(crate) fn wait_gone(pid: i32) {
    eventually("the end of a process", || match process(pid) {
        Some(process) if is_alive(pid) => Err(format!("{process:?}")),
        _ => Ok(()),
    });
}

/// Waits until a process has this many children, none of them a zombie.
#[track_caller]
pub(crate) fn wait_children(parent: i32, count: usize) -> Vec<Process> {
    eventually("its children", || {
        let children = children(parent);
        let is_well = children.len() == count && children.iter().all(|child| child.state != 'Z');
        if is_well { Ok(children) } else { Err(format!("{children:?}")) }
    })
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// A tool of the workspace that will be process 1 of a container: of a pid namespace of its own.
pub(crate) fn in_container(name: &str) -> Tool {
    let args = ["--pid", "--fork", "--mount-proc"];
    let may = Command::new("unshare").args(args).arg("true").output();
    let tool = Tool::program("unshare");
    let tool = match may.is_ok_and(|end| end.status.success()) {
        true => tool,
        // Without root, a user namespace gives the permission.
        false => tool.arg("-Ur"),
    };
    tool.args(args).arg(Tool::path_of(name))
}

/// The pid, as we see it, of process 1 of a container.
#[track_caller]
pub(crate) fn process_1(container: &Running) -> i32 {
    wait_children(container.pid().cast_signed(), 1).remove(0).pid
}
