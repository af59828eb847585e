//! A signal that was ignored when a tool was started, as by `nohup`, stays ignored.

use crate::exec::processes::send;
use farm_harness::{Ensemble, Running, Scratch, Signal, Tool, eventually};
use std::fs;

/// Starts a tool as `nohup` does, in the background of a shell without job control.
fn start_ignoring(scratch: &Scratch, tool: &str, args: &[&str]) -> Running {
    let line = "trap '' HUP INT; exec \"$@\"";
    let shell = Tool::program("sh").args(["-c", line, "sh"]).arg(Tool::path_of(tool));
    shell.args(args).cwd(scratch.path()).spawn()
}

/// Whether HUP and INT are ignored in a process.
fn is_ignoring(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(ignored.trim(), 16).unwrap() & 0b11 == 0b11
}

/// Sends a process the signals that it was started with as ignored.
fn hang_up(pid: i32) {
    assert!(is_ignoring(pid), "of {pid}");
    send(pid, Signal::SIGHUP);
    send(pid, Signal::SIGINT);
}

#[test]
fn zkjoin_and_zkexport_outlive_the_terminal_under_nohup() {
    let cases: [(&str, &[&str], &str); 2] = [
        ("zkjoin", &["--name", "host", "/farm", "conf.json"], "joined; "),
        ("zkexport", &["--create-farm", "/farm", "hosts.json"], "the file is current; "),
    ];
    for (tool, args, is_up) in cases {
        let (chroot, scratch) = (Ensemble::shared().chroot("nohup"), Scratch::new());
        let servers = chroot.connect_string();
        let mut running = start_ignoring(&scratch, tool, &[&["-H", &servers], args].concat());
        running.wait_log(is_up);
        hang_up(running.pid().cast_signed());
        running.signal(Signal::SIGTERM);
        let output = running.wait_exit();
        output.code(0);
        assert!(!output.stderr.contains("again"), "{output}");
    }
}

#[test]
fn zkexec_and_its_child_outlive_the_terminal_under_nohup() {
    let (chroot, scratch) = (Ensemble::shared().chroot("nohup_zkexec"), Scratch::new());
    let child = "echo $$ > child; exec sleep 1000";
    let args = ["-c", &chroot.connect_string(), "-e", child];
    let mut running = start_ignoring(&scratch, "zkexec", &args);
    let child: i32 = eventually("the child is up", || {
        scratch.read("child")?.trim().parse().map_err(|error| format!("{error}"))
    });
    hang_up(running.pid().cast_signed());
    hang_up(child);
    running.signal(Signal::SIGTERM);
    running.wait_exit().code(143);
}

#[test]
fn commands_outlive_the_terminal_under_nohup() {
    for (tool, args) in [
        ("zkctl", &["-v", "--timeout", "2s", "ls", "/farm"][..]),
        ("zkexport", &["-v", "--once", "--timeout", "2s", "/farm", "hosts.json"]),
    ] {
        let scratch = Scratch::new();
        let args = [&["-H", "127.0.0.1:1"], args].concat();
        let mut running = start_ignoring(&scratch, tool, &args);
        running.wait_log("no server can be reached");
        hang_up(running.pid().cast_signed());
        running.wait_exit().code(69);
    }
}
