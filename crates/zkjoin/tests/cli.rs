//! The command line of zkjoin, without a server.

use farm_harness::{Output, Scratch, Signal, Tool, patience};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(1);

fn zkjoin() -> Tool {
    // Nobody listens on port 1.
    Tool::program(env!("CARGO_BIN_EXE_zkjoin")).env("ZKHOST", "127.0.0.1:1")
}

fn ends(args: &[&str], code: i32) -> Output {
    let scratch = Scratch::new();
    let output = zkjoin().args(args).cwd(scratch.path()).run();
    output.code(code).stdout_is("");
    let left = std::fs::read_dir(scratch.path()).map(Iterator::count);
    assert!(matches!(left, Ok(0)), "something was written\n{output}");
    output
}

#[test]
fn help_begins_with_examples_and_names_every_option() {
    let output = zkjoin().arg("--help").run();
    output.code(0).stderr_is("");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.starts_with("Examples:\n  zkjoin "), "{text}");
    for option in ["--common", "--one-way", "--name", "--settle", "--changed-cmd", "--host"] {
        assert!(text.contains(option), "{option}");
    }
    zkjoin().arg("--version").run().code(0).stdout_has("zkjoin 0.");
}

#[test]
fn wrong_usage_is_one_line_that_names_the_thing() {
    let cases: [(&[&str], &str); 9] = [
        (&[], "<FARM> <CONF>"),
        (&["/db"], "<CONF>"),
        (&["db", "x.json"], "\"db\" is not a znode path"),
        (&["/db", "x.txt"], "cannot tell the format of \"x.txt\" from its name"),
        (&["/db", "x.json", "--name", "a/b"], "cannot contain '/'"),
        (&["/db", "x.json", "--settle", "soon"], "\"soon\""),
        (
            &["/db", "x.json", "--name", "-x"],
            "\nhint: if -x is the value of --name, write --name=-x\n",
        ),
        (
            &["/db", "x.json", "--name", "-v"],
            "\nhint: if -v is the value of --name, write --name=-v\n",
        ),
        (&["/db", "x.json", "-c", "--name", "a"], "cannot be used with"),
    ];
    for (args, wanted) in cases {
        let output = ends(args, 2);
        output.stderr_has("zkjoin: ").stderr_has(wanted);
        assert!(output.stderr.lines().count() <= 2, "{args:?}: {output}");
    }
    ends(&["/db", "x.php", "--name", "a"], 78).stderr_has("not read back");
}

#[test]
fn without_a_server_it_gives_up_after_its_retries_and_nothing_is_written() {
    let output = ends(&["/db", "x.json", "--name", "a", "-r", "2"], 69);
    output.stderr_has("127.0.0.1:1: cannot connect: ");
}

#[test]
fn without_a_server_a_signal_ends_it_soon() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let scratch = Scratch::new();
        let mut running =
            zkjoin().args(["/db", "x.json", "--name", "a"]).cwd(scratch.path()).spawn();
        running.wait_log("no server can be reached, retrying");
        let start = std::time::Instant::now();
        running.signal(signal);
        running.wait_exit().code(0);
        assert!(start.elapsed() < patience(SOON), "{:?}", start.elapsed());
    }
}
