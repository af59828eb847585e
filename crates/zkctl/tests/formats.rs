//! How each command checks the format options before it connects.

use std::process::{Command, Output, Stdio};

fn run(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zkctl"));
    // A command that gets as far as connecting fails with 69: nothing listens there.
    command.env_clear().stdin(Stdio::null()).args(["-t", "50ms", "-H", "127.0.0.1:1"]);
    command.args(args).output().expect("zkctl was built with this test")
}

#[test]
fn a_format_that_a_command_cannot_print_is_wrong_usage() {
    let table: [(&[&str], &str); 17] = [
        (&["set", "/a", "b", "1", "-o", "json"], "zkctl set cannot print json"),
        (&["set", "/a", "b", "1", "--json"], "zkctl set cannot print json"),
        (&["unset", "/a", "b", "-o", "tsv"], "zkctl unset cannot print tsv"),
        (&["unset", "/a", "b", "-0"], "-0"),
        (&["put", "/a", "/nowhere", "--json"], "zkctl put cannot print json"),
        (&["put", "/a", "/nowhere", "-n", "-0"], "-0"),
        (&["ls", "/a", "-o", "php"], "invalid value 'php'"),
        (&["ls", "/a", "-o", "yaml", "--json"], "--json contradicts -o yaml"),
        (&["ls", "/a", "--json", "-0"], "-0 does not work with json"),
        (&["ls", "/a", "--header"], "--header needs -o tsv"),
        (&["ls", "/a", "--header", "--json"], "--header needs -o tsv"),
        (&["ls", "/a", "--sort", "a..b"], "wrong field \"a..b\""),
        (&["get", "/a", "-f", "json", "-o", "yaml"], "zkctl get --format cannot print yaml"),
        (&["get", "/a", "--raw", "--json"], "zkctl get --raw cannot print json"),
        (&["get", "/a", "--raw", "b"], "cannot be used with"),
        (&["get", "/a", "--stat", "--raw"], "cannot be used with"),
        (&["get", "/a", "-0"], "-0"),
    ];
    for (args, what) in table {
        let output = run(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(what), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn valid_formats_get_as_far_as_connecting() {
    let table: [&[&str]; 9] = [
        &["--json", "ls", "/a"],
        &["ls", "/a", "-o", "json", "--json"],
        &["ls", "/a", "-o", "jsonl", "-0"],
        &["ls", "/a", "-0", "-l", "-R", "--sort", "a.b"],
        &["ls", "/a", "-o", "tsv", "--header", "--fields", "a"],
        &["get", "/a", "b", "-0"],
        &["get", "/a", "b", "-o", "yaml", "--default", "x"],
        &["get", "/a", "--stat", "-o", "tsv", "-0"],
        &["get", "/a", "--raw"],
    ];
    for args in table {
        let output = run(args);
        assert_eq!(output.status.code(), Some(69), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
