//! The changed-command.

use super::fixture::{ENTRY, JoinFixture, hostname};
use super::shared::{COMMON, join_common_with};
use farm_harness::{Running, Signal, Zk, eventually, holds_for, patience};
use serde_json::json;
use std::fs;
use std::time::{Duration, Instant};

fn one_field(test: &str) -> JoinFixture {
    let fixture = JoinFixture::new(test);
    fixture.dir(&[("a", "1"), ("hostname", &hostname())]);
    fixture
}

/// Starts zkjoin with a command that finds the scratch directory in `$AT`.
#[track_caller]
fn join(fixture: &JoinFixture, command: &str, more: &[&str]) -> Running {
    let tool = fixture.zkjoin("conf").env("AT", fixture.scratch.path());
    let tool = tool.env("NOTIFY_SOCKET", "/nowhere").env("WATCHDOG_USEC", "1000000000");
    let running = tool.args(["--changed-cmd", command]).args(more).spawn();
    running.wait_log("joined; ");
    running
}

fn set(zk: &mut Zk, value: &str) {
    super::fixture::edit(zk, ENTRY, |record| record["a"] = json!(value));
}

#[test]
fn it_is_told_why_and_what_and_finds_the_new_config() {
    let mut fixture = one_field("hook_told");
    let command = "echo \"$ZK_EVENT $ZK_PATH $ZK_FILE $(cat \"$ZK_FILE/a\") \
                   ${NOTIFY_SOCKET-none} ${WATCHDOG_USEC-none} $(wc -c)\" >> $AT/log";
    let _running = join(&fixture, command, &[]);
    let line = |event: &str, value: &str| {
        let file = fixture.scratch.join("conf").display().to_string();
        format!("{event} {ENTRY} {file} {value} none none 0\n")
    };
    fixture.wait_file("log", &line("start", "1"));
    set(&mut fixture.zk, "2");
    fixture.wait_file("log", &(line("start", "1") + &line("change", "2")));
}

#[test]
fn it_runs_once_at_the_start_also_if_the_config_was_replaced() {
    let mut fixture = JoinFixture::new("hook_common");
    fixture.scratch.write("one.json", r#"{"a": "mine"}"#);
    fixture.zk.create_all(COMMON, r#"{"a":"theirs"}"#).unwrap();
    let log = fixture.scratch.join("log").display().to_string();
    let command = format!("echo $ZK_EVENT $ZK_PATH $(cat $ZK_FILE) >> {log}");
    let more = ["--changed-cmd", command.as_str()];
    let _running = join_common_with(&fixture, &fixture.servers(), "one.json", &more);
    let start = "start /farm/common { \"a\": \"theirs\" }\n";
    fixture.wait_file("log", start);
    fixture.zk.set(COMMON, r#"{"a":"again"}"#).unwrap();
    fixture.wait_file("log", &format!("{start}change /farm/common {{ \"a\": \"again\" }}\n"));
}

#[test]
fn a_remote_write_that_changes_nothing_here_is_no_change() {
    let mut fixture = one_field("hook_same");
    let _running = join(&fixture, "echo $ZK_EVENT >> $AT/log", &[]);
    fixture.wait_file("log", "start\n");
    let record = fixture.record();
    for _ in 0..3 {
        fixture.zk.set(ENTRY, format!("  {record}  ")).unwrap();
        fixture.zk.delete(ENTRY).unwrap();
        fixture.wait_record(json!({"a": "1"}));
    }
    fixture.scratch.write("conf/a", "local");
    fixture.wait_record(json!({"a": "local"}));
    set(&mut fixture.zk, "remote");
    fixture.wait_file("log", "start\nchange\n");
}

#[test]
fn changes_while_it_runs_are_one_further_run() {
    let mut fixture = one_field("hook_burst");
    let command = "mkdir $AT/alone || echo twice >> $AT/log; \
                   echo $ZK_EVENT $(cat $ZK_FILE/a) >> $AT/log; \
                   while [ ! -e $AT/go ]; do sleep 0.01; done; rmdir $AT/alone";
    let _running = join(&fixture, command, &[]);
    fixture.wait_file("log", "start 1\n");
    for round in 2..=20 {
        set(&mut fixture.zk, &round.to_string());
        fixture.wait_file("conf/a", &round.to_string());
    }
    fixture.scratch.write("go", "");
    fixture.wait_file("log", "start 1\nchange 20\n");
    holds_for(Duration::from_millis(300), "no further run", || {
        match fixture.scratch.read("log")? {
            text if text.lines().count() == 2 => Ok(()),
            text => Err(text),
        }
    });
}

#[test]
fn one_that_fails_is_told_and_tried_again_until_it_succeeds() {
    let mut fixture = one_field("hook_fails");
    let command = "echo $ZK_EVENT $(cat $ZK_FILE/a) >> $AT/log; echo out of luck >&2; \
                   [ -e $AT/luck ]";
    let mut running = join(&fixture, command, &[]);
    running.wait_log("command failed: exit status 1");
    running.wait_log("command said: out of luck");
    eventually("a retry", || match fixture.scratch.read("log")? {
        text if text.starts_with("start 1\nretry 1\n") => Ok(()),
        text => Err(text),
    });
    // Newer data does not wait for a retry.
    set(&mut fixture.zk, "2");
    eventually("a run with the newer data", || match fixture.scratch.read("log")? {
        text if text.ends_with("change 2\n") => Ok(()),
        text => Err(text),
    });
    // Otherwise that run could still see the file `luck`.
    eventually("it has failed as well", || {
        let failures = running.stderr().matches("command failed: ").count();
        let runs = fixture.scratch.read("log")?.lines().count();
        if failures == runs { Ok(()) } else { Err(format!("{failures} of {runs}")) }
    });
    fixture.scratch.write("luck", "");
    eventually("a run that succeeds", || match fixture.scratch.read("log")? {
        text if text.ends_with("change 2\nretry 2\n") => Ok(()),
        text => Err(text),
    });
    let runs = fixture.scratch.read("log").unwrap();
    holds_for(Duration::from_millis(2500), "no further run", || {
        match fixture.scratch.read("log")? {
            text if text == runs => Ok(()),
            text => Err(text),
        }
    });
    assert!(running.is_running());
}

#[test]
fn one_that_takes_too_long_is_ended_with_all_it_started() {
    let fixture = one_field("hook_long");
    let command = "echo $ZK_EVENT >> $AT/log; sleep 300 & echo $! > $AT/pid; wait";
    let mut running = join(&fixture, command, &["--cmd-timeout", "2s"]);
    let pid = eventually("it runs", || match fixture.scratch.read("pid")? {
        text if text.ends_with('\n') => Ok(text.trim().to_owned()),
        text => Err(text),
    });
    running.wait_log("command takes too long, ending it");
    running.wait_log("command failed");
    eventually("what it started is gone", || if is_dead(&pid) { Ok(()) } else { Err(&pid) });
    eventually("it is tried again", || match fixture.scratch.read("log")? {
        text if text.starts_with("start\nretry\n") => Ok(()),
        text => Err(text),
    });
    assert!(running.is_running());
}

/// Whether a process has ended; it may be a zombie.
fn is_dead(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn one_that_ignores_all_does_not_keep_it_from_stopping() {
    let mut fixture = one_field("hook_stubborn");
    let command = "trap '' TERM INT HUP; echo $$ > $AT/pid; while :; do sleep 0.05; done";
    let mut running = join(&fixture, command, &[]);
    let pid = eventually("it runs", || match fixture.scratch.read("pid")? {
        text if text.ends_with('\n') => Ok(text.trim().to_owned()),
        text => Err(text),
    });
    set(&mut fixture.zk, "2");
    fixture.wait_file("conf/a", "2");
    let start = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    assert!(start.elapsed() < patience(Duration::from_secs(1)), "{:?}", start.elapsed());
    assert_eq!(fixture.zk.exists(ENTRY).unwrap(), None);
    assert!(is_dead(&pid), "{pid} lives");
}

#[test]
fn one_that_leaves_somebody_behind_is_over_nevertheless() {
    let mut fixture = one_field("hook_background");
    let command = "echo $ZK_EVENT $(cat $ZK_FILE/a) >> $AT/log; sleep 300 &";
    let _running = join(&fixture, command, &[]);
    fixture.wait_file("log", "start 1\n");
    set(&mut fixture.zk, "2");
    fixture.wait_file("log", "start 1\nchange 2\n");
}

#[test]
fn one_that_edits_the_config_is_heard_and_not_run_again_for_it() {
    let mut fixture = one_field("hook_edits");
    let command = "echo $ZK_EVENT >> $AT/log; cp $ZK_FILE/a $ZK_FILE/copy";
    let _running = join(&fixture, command, &[]);
    fixture.wait_record(json!({"a": "1", "copy": "1"}));
    for round in 2..=5 {
        let value = round.to_string();
        set(&mut fixture.zk, &value);
        fixture.wait_record(json!({"a": value, "copy": value}));
    }
    fixture.wait_file("log", "start\nchange\nchange\nchange\nchange\n");
}

#[test]
fn fields_can_not_become_commands() {
    let mut fixture = one_field("hook_injection");
    let _running = join(&fixture, "echo $ZK_EVENT >> $AT/log", &[]);
    fixture.wait_file("log", "start\n");
    fixture.edit(|record| {
        record["a"] = json!("$(touch $AT/injected); `touch $AT/injected`");
        record["$(touch $AT/injected)"] = json!("'; touch $AT/injected; '");
    });
    fixture.wait_file("log", "start\nchange\n");
    assert!(!fixture.scratch.join("injected").exists());
}

#[test]
fn it_sleeps_through_an_outage_and_hears_of_what_changed_meanwhile() {
    let mut fixture = one_field("hook_outage");
    let proxy = farm_harness::FaultProxy::start(farm_harness::Ensemble::shared().server(0).addr());
    let tool = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "conf");
    let command = "echo $ZK_EVENT $(cat $ZK_FILE/a) >> $AT/log";
    let tool = tool.env("AT", fixture.scratch.path()).args(["--changed-cmd", command]);
    let running = tool.spawn();
    running.wait_log("joined; ");
    fixture.wait_file("log", "start 1\n");
    proxy.cut();
    running.wait_log("connected again");
    proxy.refuse();
    proxy.cut();
    set(&mut fixture.zk, "2");
    proxy.accept();
    fixture.wait_file("log", "start 1\nchange 2\n");
    proxy.expire().unwrap();
    running.wait_log("joined again; ");
    fixture.wait_record(json!({"a": "2"}));
    fixture.wait_file("log", "start 1\nchange 2\n");
}
