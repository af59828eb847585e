//! `zkctl check` without a server always has an exit code of a plugin, prints a line to
//! stdout, and ends in time.

use farm_harness::patience;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A port without a listener, which the system never assigns to a test.
const CLOSED: &str = "127.0.0.1:1";

fn zkctl(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zkctl"));
    command.env_clear().stdin(Stdio::null()).args(args);
    command
}

#[track_caller]
fn assert_unknown(output: &Output, why: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.starts_with("UNKNOWN: "), "{output:?}");
    assert!(stdout.contains(why), "{why}: {output:?}");
    assert!(!stdout.contains('|'), "{output:?}");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn wrong_usage_is_unknown() {
    let table: [(&[&str], &str); 16] = [
        (&["check"], "<FARM>"),
        (&["check", "/a", "/b"], "unexpected argument '/b'"),
        (&["check", "/a", "--bogus"], "unexpected argument '--bogus'"),
        (&["check", "services"], "it must start with a slash"),
        (&["check", "/a", "-c", "ten"], "\"ten\" is neither a number of hosts"),
        (&["check", "/a", "-c", "-1"], "\"-1\" is neither"),
        (&["check", "/a", "-w", "5 %"], "\"5 %\" is neither"),
        (&["check", "/a", "--min-hosts", "-1"], "'-1'"),
        (&["check", "/a", "-F", "a|b=1,=2"], "a\u{a6}b=1,=2\n"),
        (&["check", "/a", "-o", "tsv"], "zkctl check cannot print tsv"),
        (&["check", "/a", "-0"], "-0"),
        (&["check", "/a", "-o", "text", "--json"], "--json contradicts -o text"),
        (&["-t", "soon", "check", "/a"], "\"soon\" is no duration"),
        (&["--bogus", "check", "/a"], "unexpected argument '--bogus'"),
        (&["-H", "zk1:x", "check", "/a"], "the port must be a number"),
        (&["-H", "check"], "zkctl"),
    ];
    for (args, why) in table {
        let output = zkctl(args).output().unwrap();
        assert_unknown(&output, why);
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    }
}

#[test]
fn an_environment_with_mistakes_is_unknown() {
    for (name, value) in [("ZKHOST", "zk1:x"), ("ZK_TIMEOUT", "soon")] {
        assert_unknown(&zkctl(&["check", "/a"]).env(name, value).output().unwrap(), value);
    }
}

#[test]
fn other_commands_keep_their_codes() {
    for args in [&["ls"][..], &["-H", "check", "ls", "check"], &["get", "check"], &["chekc", "/a"]]
    {
        let output = zkctl(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn no_server_is_unknown_within_the_timeout() {
    // One port refuses the connection, and one accepts it and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    for host in [CLOSED, &silent] {
        for args in [&["check", "/a"][..], &["check", "/a", "-v"], &["check", "/a", "-r", "1"]] {
            let start = Instant::now();
            let output = zkctl(&["-t", "400ms", "-H", host]).args(args).output().unwrap();
            let took = start.elapsed();
            assert_unknown(&output, "no ZooKeeper server reached");
            assert!(took < patience(Duration::from_secs(2)), "{args:?} {host}: {took:?}");
        }
    }
}

#[test]
fn an_unknown_state_is_json_on_demand() {
    let output = zkctl(&["-t", "0.2", "-H", CLOSED, "check", "/a", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["status"], "UNKNOWN");
    assert_eq!(answer["running"], serde_json::Value::Null);
    assert_eq!(answer["failed"], serde_json::json!([]));
    assert!(answer["error"].as_str().unwrap().starts_with("no ZooKeeper server reached"));
}

#[test]
fn an_answer_that_cannot_be_written_is_unknown_and_goes_to_stderr() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = zkctl(&["check", "services"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("UNKNOWN: "), "{output:?}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = zkctl(&["check", "services"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn help_of_the_plugin_is_help() {
    let output = zkctl(&["check", "--help"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"Examples:\n  zkctl check "));
}
