//! The tutorial of the original zkexec, step by step.

use super::fixture::{ExecFixture, stop};
use super::processes::{children, is_stopped, wait_stopped};
use super::terminal::{CTRL_C, CTRL_D, CTRL_Z, TerminalSession};
use farm_harness::{Ensemble, eventually, holds_for};
use std::time::Duration;

/// A cat that prefixes each line with the content of a file.
const PREFIXED_CAT: &str = "#!/bin/sh\nprefix=$(cat \"$1\")\n\
    while read -r line; do echo \"$prefix $line\"; done\n";
/// Sleeps, then succeeds if the port is open.
const SLOWCHECK: &str = "#!/bin/bash\nsleep \"$2\"\nexec 2>/dev/null </dev/tcp/127.0.0.1/\"$1\"\n";

const CAT: &str = "./test/libexec/prefixed-cat ./prefix";
const RUN: &str = "zkexec --silent --exec './test/libexec/prefixed-cat ./prefix'";
const MIRROR: &str = "zkexec --silent --exec './test/libexec/prefixed-cat ./prefix' \
                      --mirror ./prefix=/prefix";

fn tutorial(test: &str) -> ExecFixture {
    let fixture = ExecFixture::new(test);
    fixture.script("test/libexec/prefixed-cat", PREFIXED_CAT);
    fixture.script("test/libexec/slowcheck", SLOWCHECK);
    fixture
}

/// Waits until another child's process group is in the foreground.
#[track_caller]
fn wait_child(terminal: &TerminalSession, before: i32) -> i32 {
    eventually("a child in the foreground", || match terminal.foreground() {
        holder if holder > 0 && holder != before && is_child(terminal, holder) => Ok(holder),
        holder => Err(format!("{holder}; {}", terminal.text())),
    })
}

/// Whether a process is a grandchild of the shell.
fn is_child(terminal: &TerminalSession, pid: i32) -> bool {
    children(terminal.shell())
        .iter()
        .any(|tool| tool.pid != pid && children(tool.pid).iter().any(|child| child.pid == pid))
}

#[test]
fn without_mirrors_it_is_the_wrapped_command_and_no_more() {
    let fixture = tutorial("the_wrapped_command");
    fixture.scratch.write("prefix", "hello");
    let terminal = TerminalSession::new(&fixture);
    terminal.type_line(&format!("echo world | {CAT}"), "hello world");
    terminal.type_keys(&format!("{RUN}\n"));
    wait_child(&terminal, 0);
    terminal.type_line("world", "hello world");
    terminal.type_line("and all", "hello and all");
    terminal.type_keys(CTRL_C);
    terminal.wait_foreground(terminal.shell());
    terminal.type_line("echo code=$?", "code=130");
    // The command behaves the same without zkexec.
    terminal.type_keys(&format!("{CAT}\n"));
    terminal.wait_foreground_from(terminal.shell());
    terminal.type_keys(CTRL_C);
    terminal.wait_foreground(terminal.shell());
    terminal.type_line("echo alone=$?", "alone=130");
    terminal.type_keys(&format!("{RUN}\n"));
    wait_child(&terminal, 0);
    terminal.type_keys(CTRL_D);
    terminal.wait_foreground(terminal.shell());
    terminal.type_line("echo code=$?", "code=0");
    terminal.type_line(&format!("echo world | {RUN}"), "hello world");
    assert!(!terminal.text().contains("fork"), "silent: {}", terminal.text());
}

#[test]
fn who_types_into_the_wrapped_command_sees_its_config_change() {
    let mut fixture = tutorial("who_types");
    fixture.zk.create("/prefix", "hello").unwrap();
    let terminal = TerminalSession::new(&fixture);
    terminal.type_keys(&format!("{MIRROR}\n"));
    let first = wait_child(&terminal, 0);
    terminal.type_line("world", "hello world");
    fixture.zk.set("/prefix", "goodbye").unwrap();
    let second = wait_child(&terminal, first);
    terminal.type_line("world", "goodbye world");
    // Half a line is typed while the child is replaced.
    terminal.type_keys("cruel ");
    fixture.zk.set("/prefix", "welcome").unwrap();
    let third = wait_child(&terminal, second);
    assert_ne!(third, second);
    terminal.type_keys("new\n");
    terminal.wait_screen("\r\nwelcome cruel new\r\n");
    terminal.type_keys(CTRL_C);
    terminal.wait_foreground(terminal.shell());
    terminal.type_line("echo code=$?", "code=130");
}

#[test]
fn ctrl_z_stops_both_and_a_change_waits_for_fg() {
    let mut fixture = tutorial("ctrl_z");
    fixture.zk.create("/prefix", "hello").unwrap();
    let terminal = TerminalSession::new(&fixture);
    terminal.type_keys(&format!("{MIRROR}\n"));
    let child = wait_child(&terminal, 0);
    terminal.type_line("world", "hello world");
    terminal.type_keys(CTRL_Z);
    terminal.wait_foreground(terminal.shell());
    let tool = children(terminal.shell()).pop().unwrap().pid;
    wait_stopped(child);
    wait_stopped(tool);
    fixture.zk.set("/prefix", "goodbye").unwrap();
    terminal.type_line("echo here", "here");
    assert!(is_stopped(child) && is_stopped(tool));
    terminal.type_keys("fg\n");
    wait_child(&terminal, child);
    terminal.type_line("world", "goodbye world");
    terminal.type_keys(CTRL_C);
    terminal.wait_foreground(terminal.shell());
    terminal.type_line("echo code=$?", "code=130");
}

#[test]
fn a_command_in_the_background_is_fetched_and_restarted_there() {
    let mut fixture = tutorial("in_the_background");
    fixture.zk.create("/prefix", "hello").unwrap();
    let terminal = TerminalSession::new(&fixture);
    terminal
        .type_keys("zkexec --silent -m prefix=/prefix -e 'cat prefix >> ran; exec sleep 1000' &\n");
    fixture.wait_file("ran", "hello");
    fixture.zk.set("/prefix", " again").unwrap();
    fixture.wait_file("ran", "hello again");
    assert_eq!(terminal.foreground(), terminal.shell());
    terminal.type_keys("fg\n");
    terminal.wait_foreground_from(terminal.shell());
    terminal.type_keys(CTRL_C);
    terminal.wait_foreground(terminal.shell());
    terminal.type_line("echo ended=$?", "ended=130");
}

#[test]
fn a_command_that_ends_is_told_in_the_words_of_old_and_its_code_is_ours() {
    let fixture = tutorial("a_command_that_ends");
    let output = fixture.zkexec(&["--exec", "false"]).run();
    output.code(1).stdout_is("");
    let mut rest = output.stderr.as_str();
    let pid = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<u32>().ok());
    for words in ["connecting to 127.0.0.1:", "forking false", "forked ", "command failed"] {
        let (_, after) = rest.split_once(words).unwrap_or_else(|| panic!("{words:?}\n{output}"));
        assert!(words != "forked " || pid(after).is_some(), "{output}");
        rest = after;
    }
    fixture.zkexec(&["--silent", "--exec", "false"]).run().code(1).stderr_is("");
    fixture.zkexec(&["-s", "--exec", "exit 42"]).run().code(42).stderr_is("");
}

#[test]
fn a_health_check_is_told_in_the_words_of_old() {
    let mut fixture = tutorial("a_health_check");
    fixture.zk.create("/prefix", "hello").unwrap();
    let port = Ensemble::shared().server(0).addr().port();
    let health = format!("./test/libexec/slowcheck {port} 1");
    let args = ["--exec", "sleep 1000", "--mirror", "./prefix=/prefix", "--health", &health];
    let args = [&args[..], &["--health-delay", "1", "--health-interval", "1"]].concat();
    let begun = std::time::Instant::now();
    let running = fixture.zkexec(&args).spawn();
    running.wait_log("forked ");
    running.wait_log(&format!("health checking via: {health}"));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    running.wait_log_times("successful health check", 2);
    let log = running.stderr();
    let words = ["connecting to ", "connected", "registering callback on /prefix", "forking "];
    for words in words {
        assert!(log.contains(words), "{words:?} in\n{log}");
    }
    let order: Vec<usize> = ["health checking via", "successful health check"]
        .into_iter()
        .flat_map(|words| log.match_indices(words).map(|(at, _)| at).take(2))
        .collect();
    assert!(order[0] < order[2] && order[2] < order[1] && order[1] < order[3], "{log}");
    stop(running);
}

#[test]
fn an_alert_and_a_dead_mans_switch() {
    let fixture = tutorial("an_alert");
    let args = ["-e", "sleep 1000", "--health", "test -e well && touch succeeded_at"];
    let args = [&args[..], &["-d", "0.1", "-i", "0.1", "--alert", "echo $ZKEXEC_EVENT >> alerts"]];
    fixture.scratch.write("well", "");
    let running = fixture.zkexec(&args.concat()).spawn();
    running.wait_log_times("successful health check", 2);
    assert!(fixture.scratch.join("succeeded_at").exists());
    assert!(!fixture.scratch.join("alerts").exists());
    std::fs::remove_file(fixture.scratch.join("well")).unwrap();
    eventually("each failure is an alert", || match fixture.scratch.read("alerts")? {
        alerts if alerts.starts_with("health\nhealth\n") => Ok(()),
        alerts => Err(alerts),
    });
    fixture.scratch.write("well", "");
    let seen = running.stderr().matches("successful").count();
    running.wait_log_times("successful", seen + 2);
    let failures = running.stderr().matches("failed health check").count();
    eventually("all failures were alerts", || match fixture.scratch.read("alerts")? {
        alerts if alerts.lines().count() == failures => Ok(()),
        alerts => Err(format!("{alerts}{failures}")),
    });
    let alerts = fixture.scratch.read("alerts");
    holds_for(Duration::from_millis(300), "no more alerts", || {
        match fixture.scratch.read("alerts") {
            now if now == alerts => Ok(()),
            now => Err(format!("{now:?}")),
        }
    });
    stop(running);
}
