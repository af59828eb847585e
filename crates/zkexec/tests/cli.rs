//! What `zkexec` does before it connects to a server, and when it can't.

use farm_harness::{Scratch, Signal, Tool, patience};
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A port where nothing listens, and that the kernel never assigns to a test.
const CLOSED: &str = "127.0.0.1:1";
/// What happens within this time happens without any wait.
const SOON: Duration = Duration::from_secs(1);

fn zkexec() -> Tool {
    Tool::program(env!("CARGO_BIN_EXE_zkexec")).env("ZKHOST", CLOSED)
}

#[test]
fn help_goes_to_stdout_with_the_examples_on_top() {
    for flag in ["--help", "-h"] {
        let output = zkexec().arg(flag).run();
        output.ok().stderr_is("").stdout_has("\nUsage: zkexec [OPTIONS] ");
        assert!(output.text().starts_with("Examples:\n  zkexec -e "), "{output}");
        for option in ["--exec", "--cluster", "--health-interval", "--mirror", "--lock", "--alert"]
        {
            output.stdout_has(option);
        }
    }
    let version = concat!("zkexec ", env!("CARGO_PKG_VERSION"), "\n");
    zkexec().arg("--version").run().ok().stdout_is(version);
}

#[test]
fn wrong_usage_is_one_line_and_a_hint() {
    let table: [(&[&str], &str); 47] = [
        (&[], "zkexec: the following required arguments were not provided: --exec <CMD>\n"),
        (&["sleep"], "unexpected argument 'sleep' found\n"),
        (&["-e", "x", "--", "y"], "cannot be used with"),
        (&["-e", "x", "--no-such-option"], "unexpected argument '--no-such-option' found\n"),
        (&["-e", "x", "-m", "conf"], "it must be LOCAL=/ZNODE\n"),
        (&["-e", "x", "-m", "conf=znode"], "it must be LOCAL=/ZNODE\n"),
        (&["-e", "x", "-m", "=/znode"], "\"\" does not name a file\n"),
        (&["-e", "x", "-m", "..=/znode"], "\"..\" does not name a file\n"),
        (&["-e", "x", "-m", "conf=/a//b"], "conf=/a//b"),
        (&["-e", "x", "-m", "conf=/a/../b"], "conf=/a/../b"),
        (&["-e", "x", "-m", "conf/=/a"], "with a slash at the end of both\n"),
        (&["-e", "x", "-m", "conf=/a/"], "with a slash at the end of both\n"),
        (&["-e", "x", "-m", "conf=/a,optional,optional"], "optional is given twice\n"),
        (&["-e", "x", "-m", "conf=/a,option"], "\"option\" is not an option"),
        (&["-e", "x", "-m", "conf=/a,mode=u=r"], "mode"),
        (&["-e", "x", "-m", "conf=/a,owner=no-such-user"], "no such user: \"no-such-user\"\n"),
        (&["-e", "x", "-m", "conf=/a,check="], "check= needs a command\n"),
        (&["-e", "x", "-m", "c=/a", "-m", "c=/b"], "two mirrors have the same file: c\n"),
        (&["-e", "x", "-m", "c/=/a/", "-m", "c/d=/b"], "lies in the directory of another"),
        (&["-e", "x", "-w", "2s:1s"], "MAX is less than MIN\n"),
        (&["-e", "x", "-w", "soon"], "it must start with a number"),
        (
            &["-e", "x", "-i", "-1"],
            "unexpected argument '-1' found\n\
             hint: if -1 is the value of -i, write --health-interval=-1\n",
        ),
        (&["-e", "x", "-i", "0"], "\"0\" is no duration: here it must be at least 10ms\n"),
        (&["-e", "x", "--health-timeout", "0"], "here it must be at least 10ms\n"),
        (&["-e", "-x"], "hint: if -x is the value of -e, write --exec=-x\n"),
        (&["-e", "x", "-d", "1x"], "1x"),
        (&["-e", "x", "--health-timeout", ""], "--health-timeout"),
        (&["-e", "x", "--health-rise", "0"], "--health-rise"),
        (&["-e", "x", "--health-fall", "many"], "invalid digit found in string\n"),
        (&["-e", "x", "--stop-signal", "FOO"], "there is no such signal\n"),
        (&["-e", "x", "--stop-signal", "0"], "there is no such signal\n"),
        (&["-e", "x", "--kill-timeout", "never"], "it must start with a number"),
        (&["-e", "x", "--on-change", "reload"], "; other values are restart, none and cmd:CMD\n"),
        (&["-e", "x", "--on-change", "cmd:"], "there is no command after cmd:\n"),
        (&["-e", "x", "--on-failed-restart", "retry"], "it must be hold or rollback\n"),
        (&["-e", "x", "--concurrency", "2"], "were not provided: --lock <NAME>\n"),
        (&["-e", "x", "-l", "a", "--concurrency", "0"], "--concurrency"),
        (&["-e", "x", "-l", ""], "--lock"),
        (&["-e", "x", "--soak", "1s"], "were not provided: --lock <NAME>\n"),
        (&["-e", "x", "--drain", "/a"], "--drain"),
        (&["-e", "x", "--drain", "a:b=c"], "--drain"),
        (&["-e", "x", "--require-healthy", "farm"], "--require-healthy"),
        (&["-e", "x", "--allowed-hours", "25-6"], "--allowed-hours"),
        (&["-e", "x", "--tz", "UTC"], "were not provided: --allowed-hours <HOURS>\n"),
        (&["-e", "x", "-c", "host:port"], "--cluster"),
        (
            &["-e", "x", "-c", "zk1:2181/prod,zk2:2181/prod"],
            "wrong chroot: \"/prod,zk2:2181/prod\" has a comma in it\n\
             hint: a chroot comes once, after the last server: host:port,host:port/chroot\n",
        ),
        (&["-e", "x", "--start-without-zk", "x"], "it must start with a number"),
    ];
    for (args, expected) in table {
        let scratch = Scratch::new();
        let output = zkexec().args(args).cwd(scratch.path()).run();
        output.code(2).stdout_is("").stderr_has(expected);
        assert!(output.stderr.starts_with("zkexec: "), "{output}");
        assert!(output.stderr.lines().count() <= 4, "{output}");
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{output}");
    }
}

#[test]
fn an_unknown_time_zone_is_exit_code_78() {
    let args = ["-e", "touch ran", "--allowed-hours", "22-6", "--tz", "Nowhere/At_All"];
    let scratch = Scratch::new();
    let output = zkexec().args(args).cwd(scratch.path()).run();
    output
        .code(78)
        .stdout_is("")
        .stderr_has("zkexec: there is no time zone \"Nowhere/At_All\"\nhint: ");
    assert!(!scratch.join("ran").exists());
}

#[test]
fn retries_end_a_wait_for_the_first_files_with_69() {
    let scratch = Scratch::new();
    let output = zkexec()
        .args(["--retries", "2", "-m", "c=/c", "-e", "touch ran"])
        .cwd(scratch.path())
        .run();
    output.code(69).stdout_is("").stderr_has("zkexec: no ZooKeeper server reached");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{output}");
}

#[test]
fn a_running_child_goes_on_without_a_server() {
    let scratch = Scratch::new();
    let child = "while [ ! -e go ]; do sleep 0.05; done; exit 3";
    let mut running = zkexec().args(["--retries", "1", "-e", child]).cwd(scratch.path()).spawn();
    running.wait_log("no server can be reached");
    running.wait_log("127.0.0.1:1");
    scratch.write("go", "");
    running.wait_exit().code(3);
}

#[test]
fn term_and_int_end_a_wait_for_the_first_files_at_once() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let mute = mute.local_addr().unwrap().to_string();
    for servers in [CLOSED, &mute] {
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            let scratch = Scratch::new();
            let args = ["-c", servers, "-m", "c=/c", "-a", "touch alerted", "-e", "touch ran"];
            let mut running = zkexec().args(args).cwd(scratch.path()).spawn();
            running.wait_log("registering callback on /c");
            let asked_at = Instant::now();
            running.signal(signal);
            running.wait_exit().ok().stdout_is("");
            assert!(asked_at.elapsed() < patience(SOON), "{signal} {:?}", asked_at.elapsed());
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        }
    }
}

#[test]
fn both_names_of_the_servers_are_the_same_option() {
    for option in ["-c", "--cluster", "--host"] {
        let output = zkexec().args([option, "127.0.0.1:2", "-e", "true"]).run();
        output.ok().stderr_has("connecting to 127.0.0.1:2\n");
    }
    zkexec().args(["-e", "true"]).run().ok().stderr_has("connecting to 127.0.0.1:1\n");
    let output = zkexec().env("ZKHOST", "").args(["-e", "true", "-c", "[::1]:7/x"]).run();
    output.ok().stderr_has("connecting to [::1]:7/x\n");
}

#[test]
fn silent_logs_nothing_but_errors() {
    for flag in ["-s", "--silent"] {
        zkexec()
            .args([flag, "-e", "echo out; echo err >&2; exit 4"])
            .run()
            .code(4)
            .stdout_is("out\n")
            .stderr_is("err\n");
    }
    zkexec().args(["-e", "exit 4"]).run().code(4).stderr_has("forking exit 4\n");
    // Errors are printed all the same.
    zkexec().args(["-s", "--", "no-such-program"]).run().code(127).stderr_has("cannot run no-such");
}

#[test]
fn a_directory_of_another_owner_is_refused_before_anything_else() {
    let scratch = Scratch::new();
    let precious = scratch.write("etc/passwd", "root");
    let output = zkexec().args(["-m", "etc/=/etc/", "-e", "touch ran"]).cwd(scratch.path()).run();
    output.code(78).stderr_has("etc is not empty and has no file .zkexec\nhint: ");
    assert_eq!(fs::read(precious).unwrap(), b"root");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
}

#[test]
fn arguments_after_the_dashes_belong_to_the_child() {
    // Everything after the two dashes belongs to the child, even if it looks like an option.
    zkexec().args(["--", "echo", "--help", "-m", "x"]).run().ok().stdout_is("--help -m x\n");
    zkexec().args(["-e", "echo $0 $#"]).run().ok().stdout_is("sh 0\n");
}
