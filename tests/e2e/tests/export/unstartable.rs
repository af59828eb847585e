//! Commands that can't be started.

use super::*;
use crate::exec::unstartable::limit_processes;

/// A search path on which there is no shell.
const NOWHERE: &str = "/nowhere";
const NO_SHELL: &str = "cannot run sh: No such file or directory (os error 2)";

#[test]
fn a_command_that_can_not_be_started_is_tried_once_with_once() {
    let fixture = ExportFixture::with_farm("unstartable_once");
    for path in [NOWHERE, ""] {
        let args = ["--once", "-f", "json", "db", "-c", "true"];
        let output = fixture.tool(&args).env("PATH", path).patience(SOON).run();
        // As with a command that fails.
        output.ok().stderr_has(&format!("command failed: {NO_SHELL}; cmd=\"true\"\n"));
        assert_eq!(output.stderr.matches("cannot run").count(), 1, "{output}");
    }
    let output = fixture
        .tool(&["--once", "db.json", "--check-cmd", "true"])
        .env("PATH", NOWHERE)
        .patience(SOON)
        .run();
    output.code(73).stderr_has(&format!("zkexport: the check can't be run: {NO_SHELL}\n"));
    assert!(!fixture.scratch.join("db.json").exists());
}

/// Long before the second try of a daemon's third one.
const SOON: Duration = Duration::from_secs(5);

#[test]
fn a_daemon_says_what_it_can_not_start_and_tries_it_again() {
    let mut fixture = ExportFixture::with_farm("unstartable_daemon");
    let bin = fixture.scratch.join("bin").display().to_string();
    let start = |args: &[&str]| fixture.tool(args).env("PATH", &bin).spawn();
    let hooked = start(&["db.json", "-c", "echo $ZK_EVENT >> ran"]);
    let checked = start(&["checked.json", "--check-cmd", "test -s {}"]);
    hooked.wait_log_times(&format!("command failed: {NO_SHELL}"), 2);
    checked.wait_log(&format!(
        "the file stays as it is, trying again: the check can't be run: {NO_SHELL}"
    ));
    assert!(!fixture.scratch.join("checked.json").exists());
    // The farm is followed meanwhile.
    fixture.host("new", &json!({}));
    fixture.wait_for("the new host", |farm| farm.get("new").is_some());
    fs::create_dir(&bin).unwrap();
    for program in ["sh", "test"] {
        let found = farm_harness::toolbox::in_path(program).unwrap();
        std::os::unix::fs::symlink(found, Path::new(&bin).join(program)).unwrap();
    }
    eventually("the retry", || match fixture.scratch.read("ran")? {
        ran if ran == "retry\n" || ran == "change\n" => Ok(()),
        ran => Err(ran),
    });
    fixture.wait_for_text_with("checked.json", "\"new\"");
    checked.wait_log("the file can be written again");
    let log = stop(checked);
    assert!(!log.contains("refused"), "nothing is known of the contents: {log}");
    assert_eq!(log.matches("can't be run").count(), 1, "{log}");
    stop(hooked);
}

#[test]
fn a_system_without_a_process_to_give_costs_a_retry() {
    let mut fixture = ExportFixture::with_farm("unstartable_processes");
    let tool = Tool::unprivileged("zkexport", &fixture.scratch);
    let tool = tool.env("ZKHOST", fixture.chroot.connect_string()).cwd(fixture.scratch.path());
    let running = tool.args(["/services/db", "db.json", "-c", "echo $ZK_ADDED >> ran"]).spawn();
    fixture.wait_for_text("ran", "1.2.3.4 1.2.3.5\n");
    limit_processes(&running, true);
    fixture.host("new", &json!({}));
    running.wait_log("command failed: cannot start a process: ");
    limit_processes(&running, false);
    fixture.wait_for_text("ran", "1.2.3.4 1.2.3.5\nnew\n");
    stop(running);
}

#[test]
fn an_environment_that_is_too_large_is_said_and_the_lists_do_not_make_it_so() {
    let mut fixture = ExportFixture::with_farm("unstartable_environment");
    let start = |file: &str, size: usize| {
        let command = format!("echo $ZK_EVENT ${{ZK_TRUNCATED-whole}} >> {file}.ran");
        let tool = fixture.tool(&[file, "-w", "500ms", "-c", &command]);
        let running = tool.env("BIG", "x".repeat(size)).env("BIGGER", "x".repeat(size)).spawn();
        fixture.wait_for_text(&format!("{file}.ran"), "start whole\n");
        // The kernel gives a quarter of the stack, here 128 KiB, to arguments and environment.
        running.set_limit("stack", 524_288);
        running
    };
    let (running, too_large) = (start("small.json", 25_000), start("large.json", 100_000));
    for n in 0..1000 {
        fixture.host(&format!("{n:03}-{}", "x".repeat(200)), &json!({}));
    }
    let wait_for_run = |file: &str, line: &str| {
        eventually(file, || match fixture.scratch.read(file)? {
            ran if ran.contains(line) => Ok(()),
            ran => Err(ran),
        });
    };
    wait_for_run("small.json.ran", "change 1\n");
    assert!(!running.stderr().contains("command failed"), "{}", running.stderr());
    too_large.wait_log("command failed: cannot run sh: Argument list too long");
    too_large.set_limit("stack", 8_388_608);
    wait_for_run("large.json.ran", "retry 1\n");
    stop(running);
    stop(too_large);
}
