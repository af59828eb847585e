//! What `zkctl` does before it connects, and without a server.

use farm_harness::{Scratch, patience};
use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program with an empty environment.
fn zkctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zkctl"));
    command.env_clear().stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    zkctl().args(args).output().expect("zkctl was built with this test")
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, stderr: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(output.status.code(), Some(code));
}

/// A port without a listener, which the system never assigns to a test.
const CLOSED: &str = "127.0.0.1:1";

#[test]
fn help_goes_to_stdout_with_the_examples_on_top() {
    let table: [&[&str]; 10] = [
        &["--help"],
        &["ls", "--help"],
        &["get", "-h"],
        &["set", "-h"],
        &["unset", "-h"],
        &["put", "-h"],
        &["locks", "-h"],
        &["rollout", "-h"],
        &["rollout", "status", "-h"],
        &["rollout", "skip", "--help"],
    ];
    for args in table {
        let output = run(args);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(stdout.starts_with("Examples:\n  zkctl "), "{args:?}: {stdout}");
        assert!(stdout.contains("\nUsage: zkctl "), "{args:?}: {stdout}");
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn help_is_the_same_short_page_for_both_of_its_names() {
    const ROLLOUT: [&str; 8] =
        ["status", "wait", "restart", "pause", "resume", "retry", "skip", "history"];
    let commands =
        ["ls", "get", "set", "unset", "put", "check", "locks", "rollout", ""].map(str::to_owned);
    let rollout = ROLLOUT.map(|command| format!("rollout {command}"));
    for command in commands.into_iter().chain(rollout) {
        let args: Vec<&str> = command.split_whitespace().collect();
        let [short, long] = ["-h", "--help"].map(|help| run(&[&args[..], &[help]].concat()).stdout);
        let (short, long) = (String::from_utf8(short).unwrap(), String::from_utf8(long).unwrap());
        assert_eq!(short, long, "{command}");
        let widest = short.lines().map(str::len).max();
        assert!(widest <= Some(100), "{command}: {widest:?}");
        let options = short.lines().filter(|line| line.trim_start().starts_with('-'));
        for option in options {
            // Two spaces or more separate an option from its help text.
            let explained = option.trim_start().split_once("  ").map(|(_, text)| text.trim());
            assert!(explained.is_some_and(|text| !text.is_empty()), "{command}: {option}");
        }
    }
}

#[test]
fn help_does_not_show_what_the_environment_holds() {
    let output = zkctl().env("ZKHOST", "db-of-a-friend:2181").arg("--help").output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("[env: ZKHOST]"), "{stdout}");
    assert!(!stdout.contains("db-of-a-friend"), "{stdout}");
}

#[test]
fn version_goes_to_stdout() {
    let output = run(&["-V"]);
    assert_eq!(output.stdout, concat!("zkctl ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    assert_eq!(output.status.code(), Some(0));
}

/// Arguments, and the error message about them.
const WRONG_USAGE: [(&[&str], &str); 20] = [
    (
        &[],
        "zkctl: 'zkctl' requires a subcommand but one was not provided \
         [subcommands: ls, get, set, unset, put, check, locks, rollout, help]\n\
         hint: zkctl --help shows how it is used\n",
    ),
    (
        &["ls"],
        "zkctl: the following required arguments were not provided: <PATH>\n\
         hint: zkctl ls --help shows how it is used\n",
    ),
    (
        &["ls", "/", "--feilds", "a"],
        "zkctl: unexpected argument '--feilds' found\n\
         hint: a similar argument exists: '--fields'\n",
    ),
    (
        &["ls", "-t", "soon", "/"],
        "zkctl: invalid value 'soon' for '--timeout <DUR>': \
         \"soon\" is no duration: it must start with a number, like 250ms, 30s or 5m\n\
         hint: zkctl --help shows how it is used\n",
    ),
    (
        &["ls", "/", "--sort", "-v"],
        "zkctl: a value is required for '--sort <FIELD>' but none was supplied\n\
         hint: if -v is the value of --sort, write --sort=-v\n",
    ),
    (
        &["-H", "zk1,zk2:x", "ls", "/"],
        "zkctl: invalid value 'zk1,zk2:x' for '--host <HOSTS>': \
         \"zk2:x\" names no server: the port must be a number from 1 to 65535\n\
         hint: zkctl --help shows how it is used\n",
    ),
    (
        &["-H", "zk1/prod,zk2/prod", "ls", "/"],
        "zkctl: invalid value 'zk1/prod,zk2/prod' for '--host <HOSTS>': \
         wrong chroot: \"/prod,zk2/prod\" has a comma in it\n\
         hint: a chroot comes once, after the last server: host:port,host:port/chroot\n",
    ),
    (
        &["ls", "services/db"],
        "zkctl: \"services/db\" is not a znode path: it must start with a slash\n",
    ),
    (
        &["get", "/a/../b"],
        "zkctl: \"/a/../b\" is not a znode path: it has a component that is '.' or '..'\n",
    ),
    (&["set", "/a", "b"], "zkctl: no value for the field b\nhint: b= sets the empty text\n"),
    (
        &["set", "/a", "b", "c", "d"],
        "zkctl: \"d\" follows the value of b\n\
         hint: FIELD=TEXT FIELD=TEXT sets several fields\n",
    ),
    (
        &["set", "/a", "b=1", "c"],
        "zkctl: \"c\" is not an assignment\n\
         hint: after FIELD=TEXT only FIELD=TEXT or FIELD:=JSON can follow\n",
    ),
    (
        &["put", "conf/app", "/nowhere/app.conf"],
        "zkctl: \"conf/app\" is not a znode path: it must start with a slash\n",
    ),
    (
        &["put", "/conf/app", ""],
        "zkctl: a value is required for '[FILE]' but none was supplied\n\
         hint: zkctl --help shows how it is used\n",
    ),
    (
        &["get", "/a", "b", "-f", "json"],
        "zkctl: the argument '[FIELD]' cannot be used with '--format <FORMAT>'\n\
         hint: zkctl get --help shows how it is used\n",
    ),
    (
        &["rollout"],
        "zkctl: 'zkctl rollout' requires a subcommand but one was not provided [subcommands: \
         status, wait, restart, pause, resume, retry, skip, history, help]\n\
         hint: zkctl rollout --help shows how it is used\n",
    ),
    (
        &["rollout", "wait"],
        "zkctl: the following required arguments were not provided: <NAME>\n\
         hint: zkctl rollout wait --help shows how it is used\n",
    ),
    (
        &["rollout", "pause", "app", "-o", "tsv"],
        "zkctl: zkctl rollout pause cannot print tsv\n\
         hint: it can print text, json, jsonl, yaml\n",
    ),
    (
        &["rollout", "resume", ".."],
        "zkctl: \"..\" is not a znode path: it has a component that is '.' or '..'\n",
    ),
    (
        &["get", "/a", "-f", "dir"],
        "zkctl: invalid value 'dir' for '--format <FORMAT>' \
         [possible values: yaml, json, php]\n\
         hint: zkctl --help shows how it is used\n",
    ),
];

#[test]
fn wrong_usage_is_one_line_and_a_hint() {
    for (args, stderr) in WRONG_USAGE {
        assert_fails(&run(args), 2, stderr);
    }
}

#[test]
fn a_filter_with_a_mistake_has_a_caret_under_it() {
    let output = run(&["ls", "/services/db", "-F", "enabled=1,=2"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(lines[0].starts_with("zkctl: "), "{stderr}");
    assert_eq!(lines[1].trim_start(), "enabled=1,=2");
    let mistake = lines[1].find(",=").unwrap() + 1;
    assert_eq!(lines[2], format!("{}^", " ".repeat(mistake)));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn arguments_that_are_no_text_are_wrong_usage() {
    let output = zkctl().arg("get").arg(OsStr::from_bytes(b"/a\xff")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("zkctl: invalid UTF-8"), "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
}

#[test]
fn foreign_text_stays_on_the_line() {
    let output = run(&["get", "/a\n\u{1b}[2J"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(!stderr.contains('\u{1b}'), "{stderr:?}");
}

#[test]
fn no_server_is_one_line_within_the_timeout() {
    let table: [&[&str]; 9] = [
        &["ls", "/"],
        &["get", "/a", "b", "--default", "0"],
        &["set", "/a", "b", "1"],
        &["unset", "/a", "b"],
        &["put", "/a"],
        &["rollout", "status", "--json"],
        &["rollout", "status", "a", "--watch"],
        &["rollout", "wait", "a", "--for", "1h", "-o", "json"],
        &["rollout", "restart", "a"],
    ];
    for args in table {
        let start = Instant::now();
        let output = zkctl().args(["-t", "300ms", "-H", CLOSED]).args(args).output().unwrap();
        let took = start.elapsed();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(stderr.starts_with("zkctl: no ZooKeeper server reached"), "{stderr}");
        assert!(stderr.contains(CLOSED), "{stderr}");
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
        assert!(took >= Duration::from_millis(300), "{took:?}: gave up too early");
        assert!(took < patience(Duration::from_secs(3)), "{took:?}: gave up too late");
    }
}

#[test]
fn the_number_of_rounds_can_be_bounded() {
    let start = Instant::now();
    let output = zkctl().args(["-r", "1", "-t", "1m", "-H", CLOSED, "ls", "/"]).output().unwrap();
    let took = start.elapsed();
    assert_eq!(output.status.code(), Some(69));
    assert!(took < patience(Duration::from_secs(20)), "{took:?}");
    // The message has the time that it took, not the timeout.
    let stderr = String::from_utf8(output.stderr).unwrap();
    let duration = stderr.strip_prefix("zkctl: no ZooKeeper server reached in ").unwrap();
    let (number, rest) = duration.split_once(' ').unwrap();
    let unit = if rest.starts_with("ms: ") { 0.001 } else { 1.0 };
    assert!(number.parse::<f64>().unwrap() * unit <= took.as_secs_f64() + 0.1, "{stderr}");
}

#[test]
fn the_environment_names_servers_and_timeout() {
    let mut command = zkctl();
    command.env("ZKHOST", CLOSED).env("ZK_TIMEOUT", "0.2").args(["ls", "/"]);
    let start = Instant::now();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains(CLOSED));
    assert!(start.elapsed() < patience(Duration::from_secs(5)));
}

#[test]
fn a_silent_server_does_not_hold_us_beyond_the_timeout() {
    // It accepts the connection and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let start = Instant::now();
    let output = zkctl().args(["-t", "300ms", "-H", &address, "ls", "/"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < patience(Duration::from_secs(5)), "{:?}", start.elapsed());
    drop(listener);
}

#[test]
fn a_closed_pipe_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = zkctl()
        .arg("--help")
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = zkctl()
        .arg("--help")
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(73));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("zkctl: cannot write to stdout: "), "{stderr}");
}

#[test]
fn a_closed_stderr_changes_nothing() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = zkctl().args(["ls", "services"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_value_on_stdin_that_is_no_text_is_refused_before_connecting() {
    let mut child = zkctl()
        .args(["-H", CLOSED, "-t", "1m", "set", "/a", "b", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &[0xff]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no text"));
}

#[test]
fn a_file_that_can_not_be_read_is_told_of_before_connecting() {
    let scratch = Scratch::new();
    // Nobody will ever open the other end.
    let fifo = scratch.join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    std::fs::File::create(scratch.join("large")).unwrap().set_len(1 << 40).unwrap();
    let no_file = "hint: name a regular file, or - for stdin\n";
    for (name, code, reason, hint) in [
        ("", 78, "it is a directory", no_file),
        ("fifo", 78, "it is not a regular file", no_file),
        ("missing", 78, "No such file or directory (os error 2)", ""),
    ] {
        let path = scratch.join(name);
        let output =
            zkctl().args(["-H", CLOSED, "-t", "1m", "put", "/a"]).arg(&path).output().unwrap();
        assert_fails(&output, code, &format!("zkctl: cannot read {path:?}: {reason}\n{hint}"));
    }
    let large = scratch.join("large");
    let put = ["-H", CLOSED, "-t", "1m", "put", "/a"];
    let output = zkctl().args(put).arg(&large).output().unwrap();
    assert_fails(&output, 65, &format!("zkctl: {large:?} has more than 1000000 bytes\n"));
    // The same on stdin, which has no end.
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let output = zkctl().args(put).stdin(zero).output().unwrap();
    assert_fails(&output, 65, "zkctl: stdin has more than 1000000 bytes\n");
}

#[test]
fn the_journal_gets_the_priority() {
    let path = format!("{}/journal", env!("CARGO_TARGET_TMPDIR"));
    let journal = std::fs::File::create(&path).unwrap();
    let metadata = journal.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let status =
        zkctl().env("JOURNAL_STREAM", stream).args(["ls", "db"]).stderr(journal).status().unwrap();
    assert_eq!(status.code(), Some(2));
    let logged = std::fs::read_to_string(&path).unwrap();
    assert!(logged.starts_with("<3>zkctl: "), "{logged}");

    let output = zkctl().env("JOURNAL_STREAM", "1:2").args(["ls", "db"]).output().unwrap();
    assert!(output.stderr.starts_with(b"zkctl: "));
}

#[test]
fn the_log_goes_to_stderr_and_grows_on_demand() {
    let quiet = run(&["-t", "50ms", "-H", CLOSED, "ls", "/"]);
    assert_eq!(String::from_utf8(quiet.stderr).unwrap().lines().count(), 2);
    let output = run(&["-v", "-t", "50ms", "-H", CLOSED, "ls", "/"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().next().unwrap().contains("Z WARN  no server"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_variable_that_is_set_but_empty_counts_as_unset() {
    let variables = [
        "ZKHOST",
        "ZK_SESSION_TIMEOUT",
        "ZK_TIMEOUT",
        "ZK_AUTH_FILE",
        "ZK_TLS",
        "ZK_TLS_CA",
        "ZK_TLS_CERT",
        "ZK_TLS_KEY",
        "ZK_TLS_SERVER_NAME",
        "RUST_LOG",
        "NO_COLOR",
        "JOURNAL_STREAM",
        "CREDENTIALS_DIRECTORY",
    ];
    let args = ["-H", CLOSED, "--timeout", "200ms", "ls", "/"];
    for chosen in variables.iter().map(|name| vec![*name]).chain([variables.to_vec()]) {
        let empty = chosen.iter().map(|name| (name, ""));
        let output = zkctl().envs(empty).args(args).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{chosen:?}: {stderr}");
    }
    let help = String::from_utf8(run(&["ls", "--help"]).stdout).unwrap();
    for name in ["ZKHOST", "ZK_TIMEOUT", "ZK_TLS_CA"] {
        // The help may break the line before the name.
        assert!(help.contains(&format!("{name}]")), "{help}");
    }
    // Half of a TLS configuration never means plain text.
    let half = [("ZK_TLS", ""), ("ZK_TLS_CA", "/nowhere")];
    let output = zkctl().envs(half).args(args).output().unwrap();
    let hint = "hint: add --tls, or set ZK_TLS=1; ZK_TLS=0 means no TLS\n";
    assert_fails(&output, 2, &format!("zkctl: --tls-ca without --tls\n{hint}"));
}
