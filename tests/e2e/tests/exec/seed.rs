//! The tutorial of the old zkexec, line by line.

use super::desk::{CTRL_C, CTRL_D, CTRL_Z, Desk};
use super::processes::{children, is_stopped, wait_stopped};
use super::stage::{Stage, stop};
use farm_harness::{Ensemble, eventually, steadily};
use std::time::Duration;

/// A cat that writes what is in a file before each line.
const PREFIXED_CAT: &str = "#!/bin/sh\nprefix=$(cat \"$1\")\n\
    while read -r line; do echo \"$prefix $line\"; done\n";
/// Waits for a while, then succeeds if the port is open.
const SLOWCHECK: &str = "#!/bin/bash\nsleep \"$2\"\nexec 2>/dev/null </dev/tcp/127.0.0.1/\"$1\"\n";

const CAT: &str = "./test/libexec/prefixed-cat ./prefix";
const RUN: &str = "zkexec --silent --exec './test/libexec/prefixed-cat ./prefix'";
const MIRROR: &str = "zkexec --silent --exec './test/libexec/prefixed-cat ./prefix' \
                      --mirror ./prefix=/prefix";

fn tutorial(test: &str) -> Stage {
    let stage = Stage::new(test);
    stage.script("test/libexec/prefixed-cat", PREFIXED_CAT);
    stage.script("test/libexec/slowcheck", SLOWCHECK);
    stage
}

/// Waits until the group of another child has the terminal.
#[track_caller]
fn wait_child(desk: &Desk, before: i32) -> i32 {
    eventually("a child in the foreground", || match desk.foreground() {
        holder if holder > 0 && holder != before && is_child(desk, holder) => Ok(holder),
        holder => Err(format!("{holder}; {}", desk.text())),
    })
}

/// Whether it is a grandchild of the shell.
fn is_child(desk: &Desk, pid: i32) -> bool {
    children(desk.shell())
        .iter()
        .any(|tool| tool.pid != pid && children(tool.pid).iter().any(|child| child.pid == pid))
}

#[test]
fn without_mirrors_it_is_the_wrapped_command_and_no_more() {
    let stage = tutorial("the_wrapped_command");
    stage.scratch.write("prefix", "hello");
    let desk = Desk::new(&stage);
    desk.ask(&format!("echo world | {CAT}"), "hello world");
    desk.press(&format!("{RUN}\n"));
    wait_child(&desk, 0);
    desk.ask("world", "hello world");
    desk.ask("and all", "hello and all");
    desk.press(CTRL_C);
    desk.wait_foreground(desk.shell());
    desk.ask("echo code=$?", "code=130");
    // What it does on its own, it does wrapped.
    desk.press(&format!("{CAT}\n"));
    desk.wait_foreground_from(desk.shell());
    desk.press(CTRL_C);
    desk.wait_foreground(desk.shell());
    desk.ask("echo alone=$?", "alone=130");
    desk.press(&format!("{RUN}\n"));
    wait_child(&desk, 0);
    desk.press(CTRL_D);
    desk.wait_foreground(desk.shell());
    desk.ask("echo code=$?", "code=0");
    desk.ask(&format!("echo world | {RUN}"), "hello world");
    assert!(!desk.text().contains("fork"), "silent: {}", desk.text());
}

#[test]
fn who_types_into_the_wrapped_command_sees_its_config_change() {
    let mut stage = tutorial("who_types");
    stage.zk.create("/prefix", "hello").unwrap();
    let desk = Desk::new(&stage);
    desk.press(&format!("{MIRROR}\n"));
    let first = wait_child(&desk, 0);
    desk.ask("world", "hello world");
    stage.zk.set("/prefix", "goodbye").unwrap();
    let second = wait_child(&desk, first);
    desk.ask("world", "goodbye world");
    // Half a line is typed while the child is replaced.
    desk.press("cruel ");
    stage.zk.set("/prefix", "welcome").unwrap();
    let third = wait_child(&desk, second);
    assert_ne!(third, second);
    desk.press("new\n");
    desk.wait_for("\r\nwelcome cruel new\r\n");
    desk.press(CTRL_C);
    desk.wait_foreground(desk.shell());
    desk.ask("echo code=$?", "code=130");
}

#[test]
fn ctrl_z_stops_both_and_a_change_waits_for_fg() {
    let mut stage = tutorial("ctrl_z");
    stage.zk.create("/prefix", "hello").unwrap();
    let desk = Desk::new(&stage);
    desk.press(&format!("{MIRROR}\n"));
    let child = wait_child(&desk, 0);
    desk.ask("world", "hello world");
    desk.press(CTRL_Z);
    desk.wait_foreground(desk.shell());
    let tool = children(desk.shell()).pop().unwrap().pid;
    wait_stopped(child);
    wait_stopped(tool);
    stage.zk.set("/prefix", "goodbye").unwrap();
    desk.ask("echo here", "here");
    assert!(is_stopped(child) && is_stopped(tool));
    desk.press("fg\n");
    wait_child(&desk, child);
    desk.ask("world", "goodbye world");
    desk.press(CTRL_C);
    desk.wait_foreground(desk.shell());
    desk.ask("echo code=$?", "code=130");
}

#[test]
fn a_command_in_the_background_is_fetched_and_restarted_there() {
    let mut stage = tutorial("in_the_background");
    stage.zk.create("/prefix", "hello").unwrap();
    let desk = Desk::new(&stage);
    desk.press("zkexec --silent -m prefix=/prefix -e 'cat prefix >> ran; exec sleep 1000' &\n");
    stage.file_says("ran", "hello");
    stage.zk.set("/prefix", " again").unwrap();
    stage.file_says("ran", "hello again");
    assert_eq!(desk.foreground(), desk.shell());
    desk.press("fg\n");
    desk.wait_foreground_from(desk.shell());
    desk.press(CTRL_C);
    desk.wait_foreground(desk.shell());
    desk.ask("echo ended=$?", "ended=130");
}

#[test]
fn a_command_that_ends_is_told_in_the_words_of_old_and_its_code_is_ours() {
    let stage = tutorial("a_command_that_ends");
    let output = stage.zkexec(&["--exec", "false"]).run();
    output.code(1).stdout_is("");
    let mut rest = output.stderr.as_str();
    let pid = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<u32>().ok());
    for words in ["connecting to 127.0.0.1:", "forking false", "forked ", "command failed"] {
        let (_, after) = rest.split_once(words).unwrap_or_else(|| panic!("{words:?}\n{output}"));
        assert!(words != "forked " || pid(after).is_some(), "{output}");
        rest = after;
    }
    stage.zkexec(&["--silent", "--exec", "false"]).run().code(1).stderr_is("");
    stage.zkexec(&["-s", "--exec", "exit 42"]).run().code(42).stderr_is("");
}

#[test]
fn a_health_check_is_told_in_the_words_of_old() {
    let mut stage = tutorial("a_health_check");
    stage.zk.create("/prefix", "hello").unwrap();
    let port = Ensemble::shared().server(0).addr().port();
    let health = format!("./test/libexec/slowcheck {port} 1");
    let args = ["--exec", "sleep 1000", "--mirror", "./prefix=/prefix", "--health", &health];
    let args = [&args[..], &["--health-delay", "1", "--health-interval", "1"]].concat();
    let begun = std::time::Instant::now();
    let running = stage.zkexec(&args).spawn();
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
    let stage = tutorial("an_alert");
    let args = ["-e", "sleep 1000", "--health", "test -e well && touch succeeded_at"];
    let args = [&args[..], &["-d", "0.1", "-i", "0.1", "--alert", "echo $ZKEXEC_EVENT >> alerts"]];
    stage.scratch.write("well", "");
    let running = stage.zkexec(&args.concat()).spawn();
    running.wait_log_times("successful health check", 2);
    assert!(stage.scratch.join("succeeded_at").exists());
    assert!(!stage.scratch.join("alerts").exists());
    std::fs::remove_file(stage.scratch.join("well")).unwrap();
    eventually("each failure is an alert", || match stage.scratch.read("alerts")? {
        alerts if alerts.starts_with("health\nhealth\n") => Ok(()),
        alerts => Err(alerts),
    });
    stage.scratch.write("well", "");
    let seen = running.stderr().matches("successful").count();
    running.wait_log_times("successful", seen + 2);
    let failures = running.stderr().matches("failed health check").count();
    eventually("all failures were alerts", || match stage.scratch.read("alerts")? {
        alerts if alerts.lines().count() == failures => Ok(()),
        alerts => Err(format!("{alerts}{failures}")),
    });
    let alerts = stage.scratch.read("alerts");
    steadily(Duration::from_millis(300), "no more alerts", || match stage.scratch.read("alerts") {
        now if now == alerts => Ok(()),
        now => Err(format!("{now:?}")),
    });
    stop(running);
}
