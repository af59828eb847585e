//! The command line of `zkexport`, and its end when no server can be reached.

use farm_harness::{Scratch, Signal, Tool, patience};
use std::net::TcpListener;
use std::time::Duration;

/// A port on which nobody listens, and that the system gives to no test.
const CLOSED: &str = "127.0.0.1:1";
/// The longest time that counts as "at once".
const SOON: Duration = Duration::from_secs(1);

fn zkexport() -> Tool {
    Tool::program(env!("CARGO_BIN_EXE_zkexport")).env("ZKHOST", CLOSED)
}

#[test]
fn help_goes_to_stdout_with_the_examples_on_top() {
    for flag in ["--help", "-h"] {
        let output = zkexport().arg(flag).run();
        output.ok().stderr_is("").stdout_has("\nUsage: zkexport [OPTIONS] <FARM> <CONF>\n");
        assert!(output.text().starts_with("Examples:\n  zkexport "), "{output}");
    }
    let version = concat!("zkexport ", env!("CARGO_PKG_VERSION"), "\n");
    zkexport().arg("--version").run().ok().stdout_is(version);
}

#[test]
fn wrong_usage_is_one_line_and_a_hint() {
    let table: [(&[&str], &str); 27] = [
        (&["/db"], "zkexport: the following required arguments were not provided: <CONF>\n"),
        (&["db", "x.php"], "\"db\" is not a znode path: it must start with a slash\n"),
        (&["/db", "x.conf"], "hint: add --format json, yaml, php or dir\n"),
        (&["/db", "-"], "hint: add --format json, yaml, php or dir\n"),
        (&["/db", "x", "-f", "xml"], "unknown format \"xml\" (choose json yaml php dir)\n"),
        (&["/db", "/dev/stdout"], "hint: add --format json, yaml, php or dir\n"),
        (
            &["/db", "/dev/stdout", "-f", "dir"],
            "zkexport: a directory can't go to standard output\n",
        ),
        (&["/db", "x.php", "--hold-drop", "30%:0"], "here it must be at least 10ms"),
        (&["/db", "-", "-f", "dir"], "zkexport: a directory can't go to standard output\n"),
        (&["/db", "x.php", "--adopt"], "zkexport: --adopt is for the format dir alone\n"),
        (&["/db", "x.php", "--timeout", "1s"], "zkexport: --timeout is for --once alone\n"),
        (&["/db", "-", "-f", "json", "-c", "true"], "--changed-cmd needs a file that changes"),
        (&["/db", "x.php", "-w", "2s:1s"], "MAX is less than MIN\n"),
        (&["/db", "x.php", "-F", "a<<1"], "^"),
        (&["/db", "x.php", "--backup"], "unexpected argument '--backup' found\n"),
        (&["/db", "-", "-f", "json", "--check-cmd", "true"], "--check-cmd needs a file to check"),
        (&["/db", "x", "-f", "dir", "--check-cmd", "true"], "--check-cmd needs a file, not a dir"),
        (&["/db", "x", "-f", "dir", "--in-place"], "--in-place needs a file, not a directory\n"),
        (&["/db", "-", "-f", "json", "--mode", "600"], "--mode, --owner and --in-place need a"),
        (&["/db", "-", "-f", "json", "-n"], "--dry-run needs a file to compare with\n"),
        (
            &["/db", "x.php", "--mode", "u=rw"],
            "\"u=rw\" is not a mode: it must be octal, like 640\n",
        ),
        (&["/db", "x.php", "--owner", "no-such-user"], "no such user: \"no-such-user\"\n"),
        (
            &["/db", "x.php", "--hold-drop", "30"],
            "it must start with a share of the farm, like 30%",
        ),
        (&["/db", "x.php", "--hold-drop", "30%:x"], "it must start with a number"),
        (
            &["/db", "x.php", "--min-hosts", "-1"],
            "unexpected argument '-1' found\n\
             hint: if -1 is the value of --min-hosts, write --min-hosts=-1\n",
        ),
        (&["/db", "x.php", "--min-hosts", "few"], "invalid digit found in string\n"),
        (&["/db", "x.php", "--splay", "1s"], "were not provided: --changed-cmd <CMD>\n"),
    ];
    for (args, expected) in table {
        let scratch = Scratch::new();
        let output = zkexport().args(args).cwd(scratch.path()).run();
        output.code(2).stdout_is("").stderr_has(expected);
        assert!(output.stderr.starts_with("zkexport: "), "{output}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "{output}");
    }
}

#[test]
fn without_a_server_one_file_is_given_up_in_time_and_nothing_is_written() {
    let scratch = Scratch::new();
    for conf in ["x.php", "-", "/dev/stdout"] {
        let output = zkexport()
            .args(["--once", "--timeout", "300ms", "-f", "php", "/db", conf])
            .cwd(scratch.path())
            .run();
        output.code(69).stdout_is("").stderr_has("zkexport: no ZooKeeper server reached in 3");
        output.stderr_has("127.0.0.1:1: cannot connect: ").stderr_has("\nhint: ");
        assert_eq!(output.stderr.lines().count(), 2, "{output}");
        assert!(output.elapsed >= Duration::from_millis(300), "{output}");
        assert!(output.elapsed < Duration::from_millis(300) + patience(SOON), "{output}");
    }
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_server_that_never_answers_counts_as_unreachable() {
    let silent_server = TcpListener::bind("127.0.0.1:0").unwrap();
    let output = zkexport()
        .env("ZKHOST", silent_server.local_addr().unwrap().to_string())
        .args(["--timeout", "300ms", "-f", "json", "/db", "-"])
        .run();
    output.code(69).stdout_is("");
    assert!(output.elapsed < Duration::from_millis(300) + patience(SOON), "{output}");
}

#[test]
fn retries_limit_a_daemon_too() {
    let scratch = Scratch::new();
    let output = zkexport().args(["-r", "2", "/db", "x.php"]).cwd(scratch.path()).run();
    output.code(69).stderr_has("zkexport: no ZooKeeper server reached");
}

#[test]
fn term_and_int_end_it_at_once_while_no_server_can_be_reached() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let scratch = Scratch::new();
        let mut running = zkexport().args(["/db", "x.php"]).cwd(scratch.path()).spawn();
        running.wait_log("no server can be reached");
        let asked_at = std::time::Instant::now();
        running.signal(signal);
        running.wait_exit().ok().stdout_is("");
        assert!(asked_at.elapsed() < patience(SOON), "{signal} took {:?}", asked_at.elapsed());
    }
}

#[test]
fn a_directory_without_our_marker_is_refused_before_anything_else() {
    let scratch = Scratch::new();
    let precious = scratch.write("etc/passwd", "root");
    let output = zkexport().args(["/db", "etc"]).cwd(scratch.path()).run();
    output.code(78).stderr_has("etc is not empty and has no file .zkexport\nhint: --adopt ");
    assert_eq!(std::fs::read(precious).unwrap(), b"root");
    assert_eq!(std::fs::read_dir(scratch.join("etc")).unwrap().count(), 1);
}

#[test]
fn a_file_where_a_directory_should_be_is_refused() {
    let scratch = Scratch::new();
    scratch.write("db", "text");
    let output = zkexport().args(["-f", "dir", "/db", "db"]).cwd(scratch.path()).run();
    output.code(78).stderr_has("db is not a directory");
    assert_eq!(scratch.read("db").unwrap(), "text");
}
