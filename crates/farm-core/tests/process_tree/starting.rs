//! The start of the child, and what it inherits.

use crate::host_process::{HostProcess, Run, group, wait_until};
use farm_harness::eventually;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) fn a_shell_line_and_an_argv_run_as_they_are_given() {
    let host = HostProcess::shell("printf '%s|' \"$0\" a b > out && echo $(echo done) >> out");
    host.first("ended 0");
    assert_eq!(host.scratch.read("out").unwrap(), "sh|a|b|done\n");

    let script = "printf '%s|' \"$@\" > out";
    let host = HostProcess::argv(&["sh", "-c", script, "sh", "$HOME", "a b", "", "*", "'\"\\"]);
    host.first("ended 0");
    assert_eq!(host.scratch.read("out").unwrap(), "$HOME|a b||*|'\"\\|");
}

pub(crate) fn exit_codes_are_exact() {
    let table = [
        ("exit 0", "0 exit status 0"),
        ("exit 3", "3 exit status 3"),
        ("exit 255", "255 exit status 255"),
        ("kill -KILL $$", "137 killed by signal 9"),
        ("kill -TERM $$", "143 killed by signal 15"),
        ("kill -PIPE $$", "141 killed by signal 13"),
        // A real-time signal, which not every library can represent.
        ("kill -40 $$", "168 killed by signal 40"),
        ("no-such-program", "127 exit status 127"),
        ("/", "126 exit status 126"),
    ];
    for (line, end) in table {
        let host = HostProcess::shell(&format!("{line} 2>/dev/null"));
        assert_eq!(host.first("ended "), end, "{line}");
        host.wait_for_end();
    }
}

pub(crate) fn a_program_that_can_not_run_has_the_exit_code_of_a_shell() {
    let plain = |host: &HostProcess| host.first("cannot ");
    let host = HostProcess::argv(&["no-such-program", "x"]);
    assert_eq!(
        plain(&host),
        "127 cannot run no-such-program: No such file or directory (os error 2)"
    );
    let host = HostProcess::argv(&["./no/such/program"]);
    assert!(plain(&host).starts_with("127 cannot run ./no/such/program: "), "{}", plain(&host));
    let host = HostProcess::argv(&["/etc/passwd"]);
    assert_eq!(plain(&host), "126 cannot run /etc/passwd: Permission denied (os error 13)");
    let host = HostProcess::argv(&["/"]);
    assert!(plain(&host).starts_with("126 "), "{}", plain(&host));
    let host = HostProcess::argv(&["/etc/passwd/x"]);
    assert!(plain(&host).starts_with("126 "), "{}", plain(&host));
    let host = HostProcess::argv(&[]);
    assert!(plain(&host).starts_with("127 "), "{}", plain(&host));

    // A later start works.
    let host = HostProcess::argv(&["./later"]);
    assert!(plain(&host).starts_with("127 "), "{}", plain(&host));
    std::os::unix::fs::symlink("/bin/false", host.scratch.join("later")).unwrap();
    host.tell("start");
    host.first("ended 1 ");
    host.wait_for_end();
}

pub(crate) fn a_second_child_is_refused_while_the_first_is_up() {
    let host = HostProcess::shell("exec sleep 60");
    let child = host.child();
    host.tell("start");
    assert_eq!(host.first("cannot "), "125 the child is still up:");
    assert_eq!(host.wait_for(1), [child]);
}

pub(crate) fn stdin_and_stdout_are_ours_and_stay_so_over_restarts() {
    let mut host = HostProcess::start(&Run::Argv(&["cat"]), &[], |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    let mut stdin = host.process.stdin.take().unwrap();
    let mut stdout = host.process.stdout.take().unwrap();
    let child = host.child();
    let file = |number: i32| fs::read_link(format!("/proc/{child}/fd/{number}"));
    wait_until("cat runs", || {
        fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "cat\n")
    });
    for number in 0..=2 {
        let ours = fs::read_link(format!("/proc/{}/fd/{number}", host.pid())).unwrap();
        assert_eq!(file(number).unwrap(), ours);
    }
    // While a program starts, it has more files open.
    eventually("no file of ours", || {
        let (found, usual) = (further_files_of(child), inherited_files());
        if found == usual { Ok(()) } else { Err(format!("{found:?}, not {usual:?}")) }
    });

    let mut echo = |text: &str| {
        stdin.write_all(text.as_bytes()).unwrap();
        let mut answer = vec![0; text.len()];
        stdout.read_exact(&mut answer).unwrap();
        assert_eq!(answer, text.as_bytes());
    };
    echo("before\n");
    host.tell("stop TERM 60000");
    host.first("gone");
    host.tell("start");
    host.nth(1, "up ");
    echo("after\n");
    drop(stdin);
    host.first("ended 0");
}

/// The files that a process has open besides stdin, stdout and stderr.
fn further_files_of(pid: i32) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| entry.unwrap().path());
    let is_further = |path: &PathBuf| !["0", "1", "2"].iter().any(|number| path.ends_with(number));
    let mut targets: Vec<_> = files.filter(is_further).flat_map(fs::read_link).collect();
    targets.sort();
    targets
}

/// The files that the test runner leaves open for all its children.
fn inherited_files() -> Vec<PathBuf> {
    let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let files = further_files_of(i32::try_from(cat.id()).unwrap());
    cat.kill().unwrap();
    cat.wait().unwrap();
    files
}

pub(crate) fn the_child_has_its_own_group_and_no_signal_is_blocked_or_ignored() {
    let host =
        HostProcess::argv(&["sh", "-c", "cp /proc/self/status status; echo done >done; sleep 60"]);
    host.wait_for_text("done", "done");
    let child = host.child();
    assert_eq!(group(child), child);
    let status = host.scratch.read("status").unwrap();
    assert_eq!(signals(&status, "SigBlk:"), 0);
    assert_eq!(signals(&status, "SigIgn:") & (1 << (13 - 1)), 0, "PIPE is ignored");
    assert_eq!(signals(&status, "SigCgt:"), 0);
}

pub(crate) fn what_we_were_started_with_as_ignored_stays_so_for_us_and_the_child() {
    let nohup = ["env", "--ignore-signal=HUP,INT,USR1,CHLD"];
    let copy = Run::Argv(&["cp", "/proc/self/status", "status"]);
    let host = HostProcess::start(&copy, &nohup, |_| {});
    assert_eq!(host.first("ended "), "0 exit status 0");
    let of_child = host.scratch.read("status").unwrap();
    let of_host = fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let bit = |signal: u32| 1_u64 << (signal - 1);
    let (hup_int_usr1, chld) = (bit(1) | bit(2) | bit(10), bit(17));
    let all = hup_int_usr1 | chld;
    assert_eq!(signals(&of_child, "SigIgn:") & all, all);
    assert_eq!(signals(&of_host, "SigIgn:") & all, hup_int_usr1);
    assert_eq!(signals(&of_host, "SigCgt:") & all, chld, "without it, the exit code is unknown");
}

/// A set of signals in the text of /proc/PID/status.
fn signals(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

pub(crate) fn the_child_does_not_inherit_the_variables_of_our_service_manager() {
    let host = HostProcess::start(&Run::Shell("env > out; echo done >done"), &[], |command| {
        command.env("NOTIFY_SOCKET", "/x").env("WATCHDOG_PID", "1").env("WATCHDOG_USEC", "1");
        command.env("KEPT", "yes");
    });
    host.wait_for_text("done", "done");
    let out = host.scratch.read("out").unwrap();
    assert!(!out.contains("NOTIFY_SOCKET") && !out.contains("WATCHDOG_"), "{out}");
    assert!(out.contains("KEPT=yes\n") && out.contains("PROCESS_TREE_MARK="), "{out}");
    host.first("gone");
}
