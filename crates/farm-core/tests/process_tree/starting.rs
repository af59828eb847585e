//! How the child comes to be, and what it finds.

use crate::ward::{Run, Ward, group, wait_until};
use farm_harness::eventually;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

pub(crate) fn a_shell_line_and_an_argv_run_as_they_are_given() {
    let ward = Ward::shell("printf '%s|' \"$0\" a b > out && echo $(echo done) >> out");
    ward.first("ended 0");
    assert_eq!(ward.scratch.read("out").unwrap(), "sh|a|b|done\n");

    let script = "printf '%s|' \"$@\" > out";
    let ward = Ward::argv(&["sh", "-c", script, "sh", "$HOME", "a b", "", "*", "'\"\\"]);
    ward.first("ended 0");
    assert_eq!(ward.scratch.read("out").unwrap(), "$HOME|a b||*|'\"\\|");
}

pub(crate) fn exit_codes_are_exact() {
    let table = [
        ("exit 0", "0 exit status 0"),
        ("exit 3", "3 exit status 3"),
        ("exit 255", "255 exit status 255"),
        ("kill -KILL $$", "137 killed by signal 9"),
        ("kill -TERM $$", "143 killed by signal 15"),
        ("kill -PIPE $$", "141 killed by signal 13"),
        // A real-time signal, for which not every library has a word.
        ("kill -40 $$", "168 killed by signal 40"),
        ("no-such-program", "127 exit status 127"),
        ("/", "126 exit status 126"),
    ];
    for (line, end) in table {
        let ward = Ward::shell(&format!("{line} 2>/dev/null"));
        assert_eq!(ward.first("ended "), end, "{line}");
        ward.wait_for_end();
    }
}

pub(crate) fn what_can_not_run_has_the_codes_of_shells() {
    let plain = |ward: &Ward| ward.first("cannot ");
    let ward = Ward::argv(&["no-such-program", "x"]);
    assert_eq!(
        plain(&ward),
        "127 cannot run no-such-program: No such file or directory (os error 2)"
    );
    let ward = Ward::argv(&["./no/such/program"]);
    assert!(plain(&ward).starts_with("127 cannot run ./no/such/program: "), "{}", plain(&ward));
    let ward = Ward::argv(&["/etc/passwd"]);
    assert_eq!(plain(&ward), "126 cannot run /etc/passwd: Permission denied (os error 13)");
    let ward = Ward::argv(&["/"]);
    assert!(plain(&ward).starts_with("126 "), "{}", plain(&ward));
    let ward = Ward::argv(&["/etc/passwd/x"]);
    assert!(plain(&ward).starts_with("126 "), "{}", plain(&ward));
    let ward = Ward::argv(&[]);
    assert!(plain(&ward).starts_with("127 "), "{}", plain(&ward));

    // It has an end too, and the next start is a start like any other.
    let ward = Ward::argv(&["./later"]);
    assert!(plain(&ward).starts_with("127 "), "{}", plain(&ward));
    std::os::unix::fs::symlink("/bin/false", ward.scratch.join("later")).unwrap();
    ward.tell("start");
    ward.first("ended 1 ");
    ward.wait_for_end();
}

pub(crate) fn a_second_child_waits_for_the_end_of_the_first() {
    let ward = Ward::shell("exec sleep 60");
    let child = ward.child();
    ward.tell("start");
    assert_eq!(ward.first("cannot "), "125 the child is still up:");
    assert_eq!(ward.wait_for(1), [child]);
}

pub(crate) fn stdin_and_stdout_are_ours_and_stay_so_over_restarts() {
    let mut ward = Ward::start(&Run::Argv(&["cat"]), &[], |command| {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    let mut stdin = ward.warden.stdin.take().unwrap();
    let mut stdout = ward.warden.stdout.take().unwrap();
    let child = ward.child();
    let file = |number: i32| fs::read_link(format!("/proc/{child}/fd/{number}"));
    wait_until("cat runs", || {
        fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name == "cat\n")
    });
    for number in 0..=2 {
        let ours = fs::read_link(format!("/proc/{}/fd/{number}", ward.pid())).unwrap();
        assert_eq!(file(number).unwrap(), ours);
    }
    // Programs open more for a moment, until they have come up.
    eventually("no file of ours", || {
        let (found, usual) = (further_files_of(child), further_files_of_anybody());
        if found == usual { Ok(()) } else { Err(format!("{found:?}, not {usual:?}")) }
    });

    let mut echo = |text: &str| {
        stdin.write_all(text.as_bytes()).unwrap();
        let mut answer = vec![0; text.len()];
        stdout.read_exact(&mut answer).unwrap();
        assert_eq!(answer, text.as_bytes());
    };
    echo("before\n");
    ward.tell("stop TERM 60000");
    ward.first("gone");
    ward.tell("start");
    ward.nth(1, "up ");
    echo("after\n");
    drop(stdin);
    ward.first("ended 0");
}

/// What a process has open beside stdin, stdout and stderr.
fn further_files_of(pid: i32) -> Vec<PathBuf> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|entry| entry.unwrap().path());
    let is_further = |path: &PathBuf| !["0", "1", "2"].iter().any(|number| path.ends_with(number));
    let mut targets: Vec<_> = files.filter(is_further).flat_map(fs::read_link).collect();
    targets.sort();
    targets
}

/// What whoever runs the tests has left open for all.
fn further_files_of_anybody() -> Vec<PathBuf> {
    let mut anybody = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let files = further_files_of(i32::try_from(anybody.id()).unwrap());
    anybody.kill().unwrap();
    anybody.wait().unwrap();
    files
}

pub(crate) fn the_child_has_its_own_group_and_no_signal_is_blocked_or_ignored() {
    let ward = Ward::argv(&["sh", "-c", "cp /proc/self/status status; echo done >done; sleep 60"]);
    ward.wait_for_text("done", "done");
    let child = ward.child();
    assert_eq!(group(child), child);
    let status = ward.scratch.read("status").unwrap();
    let bits = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    assert_eq!(bits("SigBlk:"), 0);
    assert_eq!(bits("SigIgn:") & (1 << (13 - 1)), 0, "PIPE is ignored");
    assert_eq!(bits("SigCgt:"), 0);
}

pub(crate) fn the_child_is_not_told_of_our_service_manager() {
    let ward = Ward::start(&Run::Shell("env > out; echo done >done"), &[], |command| {
        command.env("NOTIFY_SOCKET", "/x").env("WATCHDOG_PID", "1").env("WATCHDOG_USEC", "1");
        command.env("KEPT", "yes");
    });
    ward.wait_for_text("done", "done");
    let out = ward.scratch.read("out").unwrap();
    assert!(!out.contains("NOTIFY_SOCKET") && !out.contains("WATCHDOG_"), "{out}");
    assert!(out.contains("KEPT=yes\n") && out.contains("FAMILY_MARK="), "{out}");
    ward.first("gone");
}
