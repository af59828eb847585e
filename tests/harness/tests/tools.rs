//! Tests of running programs and of their output.

use farm_harness::{Scratch, Signal, Tool, eventually};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

fn sh(script: &str) -> Tool {
    Tool::program("/bin/sh").args(["-c", script])
}

fn message_of(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("it should have failed");
    panic.downcast_ref::<String>().cloned().expect("a message with values")
}

#[test]
fn run_returns_streams_and_code() {
    let output = sh("cat; echo no >&2; exit 3").stdin("in\n").run();
    output.code(3).stdout_is("in\n").stdout_has("in").stderr_has("no").stderr_is("no\n");
    assert_eq!(output.signal, None);
}

#[test]
fn a_signal_is_told_from_a_code() {
    let output = sh("kill -TERM $$").run();
    output.signal(Signal::SIGTERM);
    assert_eq!(output.code, None);
}

#[test]
fn failed_assertions_show_command_and_both_streams() {
    let scratch = Scratch::new();
    let output = sh("echo out; echo err >&2").cwd(scratch.path()).env("WHO", "me").run();
    for text in [
        message_of(|| drop(output.code(7).text())),
        message_of(|| drop(output.stdout_is("other").text())),
        message_of(|| drop(output.stderr_has("other").text())),
    ] {
        let cwd = scratch.path().display().to_string();
        for part in ["/bin/sh -c", "WHO=me", &cwd, "exit code 0", "\nout\n", "\nerr\n"] {
            assert!(text.contains(part), "no {part:?} in:\n{text}");
        }
    }
}

#[test]
fn the_environment_is_almost_empty() {
    let output = sh("env").env("GIVEN", "1").run();
    let text = output.ok().text();
    assert!(text.contains("GIVEN=1") && text.contains("PATH="), "{text}");
    assert!(!text.contains("CARGO"), "{text}");
}

#[test]
fn a_tool_that_takes_too_long_is_killed_and_shown() {
    let start = Instant::now();
    let slow = sh("echo started; sleep 600").patience(Duration::from_secs(2));
    let text = message_of(|| drop(slow.run()));
    assert!(text.contains("not ended") && text.contains("started"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(60));
}

#[test]
fn drop_kills_the_whole_group() {
    let running = sh("sleep 600 & echo child $! >&2; wait").spawn();
    running.wait_log("child ");
    let child: u32 = running.stderr().trim().split(' ').nth(1).unwrap().parse().unwrap();
    let (parent, child) = (format!("/proc/{}", running.pid()), format!("/proc/{child}"));
    assert!(Path::new(&parent).exists() && Path::new(&child).exists());
    drop(running);
    assert!(!Path::new(&parent).exists());
    eventually("the end of the child", || {
        // A zombie that is not reaped yet counts as ended.
        let stat = std::fs::read_to_string(format!("{child}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
}

#[test]
fn a_running_tool_is_signalled_and_waited_for() {
    let mut running =
        sh("trap 'echo bye; exit 5' USR1; echo ready >&2; while :; do :; done").spawn();
    running.wait_log("ready");
    assert!(running.is_running());
    assert!(running.thread_count() == 1 && running.fd_count() >= 3);
    assert!(running.memory_peak_kb() > 0);
    eventually("some processor time", || {
        let time = running.cpu_time();
        if time >= Duration::from_millis(50) { Ok(()) } else { Err(format!("{time:?}")) }
    });
    running.signal(Signal::SIGUSR1);
    running.wait_exit().code(5).stdout_is("bye\n");
    assert!(!running.is_running());
}

#[test]
fn kill9_leaves_what_the_tool_started() {
    let mut running = sh("sleep 600 >/dev/null 2>&1 & echo child $! >&2; wait").spawn();
    running.wait_log("child ");
    let child = running.stderr().trim().split(' ').nth(1).unwrap().to_owned();
    running.kill9().signal(Signal::SIGKILL);
    assert!(Path::new("/proc").join(child).exists());
}
