//! Hosts whose loopback interface is not up yet: every tool needs it, and none fails for that.

use farm_harness::{Scratch, Signal, Tool, patience};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NO_SERVER: &str = "no server can be reached, retrying; last=\"the loopback interface of this \
    host: cannot connect: Network is unreachable";

/// The arguments of `unshare` for a network of its own; `None` if that is not allowed here.
fn network() -> Option<&'static [&'static str]> {
    let may = |args: &&[&str]| {
        let mut trial = Command::new("unshare");
        trial.args(*args).arg("true").stdout(Stdio::null()).stderr(Stdio::null());
        trial.status().is_ok_and(|end| end.success())
    };
    // Without root, a user namespace gives the permission.
    [&["-n"][..], &["-Urn"]].into_iter().find(may)
}

fn tool(network: &[&str], scratch: &Scratch, name: &str) -> Tool {
    let tool = Tool::program("unshare").args(network).arg(Tool::path_of(name));
    tool.cwd(scratch.path()).env("ZKHOST", "127.0.0.1:2181/chroot")
}

#[test]
fn without_a_loopback_a_child_without_mirrors_runs_at_once() {
    let Some(network) = network() else { return };
    let scratch = Scratch::new();
    let output = tool(network, &scratch, "zkexec").args(["--", "sh", "-c", "echo runs"]).run();
    output.ok().stdout_is("runs\n").stderr_has(NO_SERVER);
    assert!(!output.stderr.contains("panic"), "{output}");
}

#[test]
fn without_a_loopback_what_has_a_time_limit_ends_in_time_with_69() {
    let Some(network) = network() else { return };
    let scratch = Scratch::new();
    scratch.write("host.json", "{}");
    for (name, args, code) in [
        ("zkctl", &["-t", "500ms", "get", "/db"][..], 69),
        ("zkctl", &["-t", "500ms", "check", "/db"], 3),
        ("zkexport", &["--once", "--timeout", "500ms", "/db", "db.json"], 69),
        ("zkexport", &["-r", "3", "/db", "db.json"], 69),
        ("zkexec", &["-m", "conf=/conf", "--retries", "3", "-e", "echo runs"], 69),
        ("zkjoin", &["-r", "3", "--name", "host", "/db", "host.json"], 69),
    ] {
        let begun = Instant::now();
        let output = tool(network, &scratch, name).args(args).run();
        output.code(code);
        let text = format!("{}{}", output.stderr, output.text());
        assert!(text.contains("the loopback interface of this host"), "{output}");
        assert!(!text.contains("panic"), "{output}");
        assert!(begun.elapsed() < patience(Duration::from_secs(5)), "{output}");
    }
}

#[test]
fn a_daemon_waits_for_the_loopback_and_looks_for_a_server_once_it_is_up() {
    let Some(network) = network() else { return };
    let scratch = Scratch::new();
    scratch.write("host.json", "{}");
    for (name, args) in [
        ("zkjoin", &["--name", "host", "/db", "host.json"][..]),
        ("zkexport", &["/db", "db.json"]),
        ("zkexec", &["-m", "conf=/conf", "-e", "echo runs"]),
    ] {
        let mut running = tool(network, &scratch, name).args(args).spawn();
        running.wait_log(NO_SERVER);
        let pid = running.pid().to_string();
        let user: &[&str] = if network == ["-n"] { &[] } else { &["-U", "--preserve-credentials"] };
        let enter = Command::new("nsenter")
            .args(["-t", &pid, "-n"])
            .args(user)
            .args(["ip", "link", "set", "lo", "up"])
            .status();
        // Without the programs for it, the interface stays down.
        if enter.is_ok_and(|end| end.success()) {
            running.wait_log("last=\"127.0.0.1:2181: cannot connect: Connection refused");
        }
        running.signal(Signal::SIGTERM);
        let output = running.wait_exit();
        assert!(!output.stderr.contains("panic"), "{output}");
        assert_eq!(output.stderr.matches(NO_SERVER).count(), 1, "{output}");
    }
}
