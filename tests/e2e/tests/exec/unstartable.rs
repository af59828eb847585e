//! Commands and children that can't be started.

use super::fixture::{ExecFixture, stop};
use farm_harness::{Running, Tool, eventually};
use std::time::Duration;

/// A search path on which there is no shell.
const NOWHERE: &str = "/nowhere";
const NO_SHELL: &str = "cannot run sh: No such file or directory (os error 2)";

/// Limits the processes of the user of a tool; root has no such limit.
pub(crate) fn limit_processes(running: &Running, is_limited: bool) {
    running.set_limit("nproc", if is_limited { 1 } else { 4096 });
}

fn sleep() -> String {
    farm_harness::toolbox::in_path("sleep").unwrap().display().to_string()
}

#[test]
fn a_child_without_a_shell_is_127_and_the_alert_says_why_it_did_not_run() {
    let fixture = ExecFixture::new("unstartable_child");
    for path in [NOWHERE, ""] {
        let output = fixture.zkexec(&["-a", "true", "-e", "true"]).env("PATH", path).run();
        output.code(127).stderr_has(NO_SHELL).stderr_has(&format!("the alert failed: {NO_SHELL}"));
    }
}

#[test]
fn commands_without_a_shell_have_failed_and_the_child_runs_on() {
    let mut fixture = ExecFixture::with_conf("unstartable_commands", "a");
    let start = |args: &[&str]| {
        let tool = fixture.zkexec(&["-w", "0", "-m", "conf=/conf"]).args(args);
        let running = tool.args(["--", &sleep(), "1000"]).env("PATH", NOWHERE).spawn();
        running.wait_log("forked ");
        running
    };
    let told = start(&["--on-change", "cmd:true"]);
    let checked = start(&["-H", "true", "-i", "100ms", "-d", "0"]);
    checked.wait_log_times(&format!("failed health check: {NO_SHELL}"), 2);
    fixture.zk.set("/conf", "b").unwrap();
    // The turn does not wait for a command that never runs.
    told.wait_log(&format!("command failed: {NO_SHELL}; cmd=\"true\""));
    told.wait_log("config failure: the new content does not work");
    for mut running in [told, checked] {
        assert!(running.is_running());
        stop(running);
    }
}

#[test]
fn a_check_that_can_not_be_run_blames_no_content() {
    let mut fixture = ExecFixture::with_conf("unstartable_check", "a");
    let bin = fixture.scratch.join("bin");
    let running = fixture
        .zkexec(&["-w", "0", "-m", "conf=/conf,check=:", "--", &sleep(), "1000"])
        .env("PATH", &bin)
        .spawn();
    running.wait_log(&format!("the check can't be run: {NO_SHELL}; trying again"));
    std::fs::create_dir(&bin).unwrap();
    let shell = farm_harness::toolbox::in_path("sh").unwrap();
    std::os::unix::fs::symlink(&shell, bin.join("sh")).unwrap();
    running.wait_log("forked ");
    fixture.wait_file("conf", "a");
    std::fs::remove_file(bin.join("sh")).unwrap();
    fixture.zk.set("/conf", "b").unwrap();
    running.wait_log_times("the check can't be run", 2);
    std::os::unix::fs::symlink(&shell, bin.join("sh")).unwrap();
    fixture.wait_file("conf", "b");
    assert!(!running.stderr().contains("refuses"), "{}", running.stderr());
    stop(running);
}

#[test]
fn a_child_for_which_there_is_no_process_is_started_when_there_is_one() {
    let mut fixture = ExecFixture::with_conf("no_process", "a");
    let tool = fixture.configure(Tool::unprivileged("zkexec", &fixture.scratch));
    let child = "echo \"$$ $(cat conf)\" >> starts; exec sleep 1000";
    let mut running = tool.args(["-w", "0", "-m", "conf=/conf", "-e", child]).spawn();
    fixture.wait_starts(1);
    limit_processes(&running, true);
    fixture.zk.set("/conf", "b").unwrap();
    running.wait_log("cannot start a process: ");
    let before = running.cpu_time();
    farm_harness::holds_for(Duration::from_secs(2), "it waits", || {
        if running.is_running() { Ok(()) } else { Err("it ended") }
    });
    assert!(running.cpu_time() - before < Duration::from_millis(300));
    limit_processes(&running, false);
    assert_eq!(fixture.wait_starts(2).1, "b");
    assert_eq!(running.stderr().matches("cannot start a process").count(), 1, "logged once");

    // While it waits for a process, it can be stopped.
    limit_processes(&running, true);
    fixture.zk.set("/conf", "c").unwrap();
    running.wait_log_times("cannot start a process: ", 2);
    running.signal(farm_harness::Signal::SIGTERM);
    let output = running.wait_exit();
    assert!(output.code.is_some(), "{output}");
    eventually("no other start", || if fixture.starts().len() == 2 { Ok(()) } else { Err("") });
}
