//! Mistakes in the TLS options that need no server to be found.

use farm_harness::{Authority, Output, Scratch, Tool};
use std::path::Path;

const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

fn zkctl() -> Tool {
    // Nothing listens there: a command that gets as far as connecting fails with 69.
    Tool::new("zkctl").env("ZKHOST", "127.0.0.1:1").args(["-t", "100ms", "ls", "/"])
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, line: &str, hint: &str) {
    output.code(code).stdout_is("").stderr_is(&format!("zkctl: {line}\nhint: {hint}\n"));
}

#[test]
fn details_without_tls_are_wrong_usage() {
    let hint = "add --tls, or set ZK_TLS=1; ZK_TLS=0 means no TLS";
    for option in ["--tls-ca", "--tls-cert", "--tls-key", "--tls-server-name"] {
        let output = zkctl().args([option, "zk1"]).run();
        assert_fails(&output, 2, &format!("{option} without --tls"), hint);
    }
    let set_long_ago = zkctl().env("ZK_TLS_CA", "ca.pem");
    assert_fails(&set_long_ago.run(), 2, "--tls-ca without --tls", hint);
    set_long_ago.env("ZK_TLS", "0").run().code(69);
}

#[test]
fn a_certificate_and_its_key_belong_together() {
    for (one, other, variable) in
        [("--tls-cert", "--tls-key", "ZK_TLS_KEY"), ("--tls-key", "--tls-cert", "ZK_TLS_CERT")]
    {
        let output = zkctl().args(["--tls", one, "file"]).run();
        let hint = format!("add {other}, or set {variable}; both may name the same file");
        assert_fails(&output, 2, &format!("{one} without {other}"), &hint);
    }
}

#[test]
fn files_that_cannot_be_used_are_named_at_once() {
    let scratch = Scratch::new();
    let papers = Authority::new("farm").issue(&[]);
    let (cert, key) = (scratch.write("cert", papers.cert), scratch.write("key", papers.key));
    let fails = |tool: Tool, code: i32, path: &Path, why: &str| {
        let output = tool.env("ZK_TLS", "1").run();
        let line = format!("zkctl: cannot speak TLS: cannot use {}: {why}\n", path.display());
        output.code(code).stdout_is("").stderr_has(&line);
        assert!(output.stderr.lines().count() <= 2, "{output}");
    };
    let missing = scratch.join("missing");
    let gone = "No such file or directory (os error 2)";
    fails(zkctl().env("ZK_TLS_CA", &missing), 78, &missing, gone);
    fails(zkctl().env("ZK_TLS_CA", &key), 78, &key, "it holds no usable certificate");
    let showing = |cert: &Path, key: &Path| {
        zkctl()
            .env("ZK_TLS_CA", scratch.join("cert"))
            .env("ZK_TLS_CERT", cert)
            .env("ZK_TLS_KEY", key)
    };
    fails(showing(&missing, &key), 78, &missing, gone);
    fails(showing(&cert, &missing), 78, &missing, gone);
    fails(showing(&cert, &cert), 78, &cert, "it holds no unencrypted private key");
    showing(&cert, &key).env("ZK_TLS", "yes").run().code(69);
    // The plugin knows four codes only.
    let output = Tool::new("zkctl").args(["check", "/", "--tls", "--tls-ca"]).arg(&missing).run();
    output.code(3).stdout_has("UNKNOWN").stdout_has(gone);
}

#[test]
fn names_that_no_certificate_can_be_for_are_refused() {
    let output = zkctl().args(["--tls", "--tls-server-name", "zk 1"]).run();
    output.code(2).stdout_is("").stderr_has("no certificate can be for the name \"zk 1\"");
    if !Path::new(SYSTEM_CA).exists() {
        let output = zkctl().arg("--tls").run();
        output.code(78).stderr_has("hint: name the authorities with --tls-ca");
        return;
    }
    let output = zkctl().env("ZKHOST", "zürich:2281").arg("--tls").run();
    output.code(78).stderr_has("\nhint: set the expected name with --tls-server-name");
    zkctl().args(["--tls", "--tls-server-name", "10.0.0.1"]).run().code(69);
}

#[test]
fn help_has_a_heading_for_tls() {
    let output = Tool::new("zkctl").arg("--help").run();
    let help = output.ok().text();
    let section = help.split("\nTLS:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for option in ["--tls ", "--tls-ca ", "--tls-cert ", "--tls-key ", "--tls-server-name "] {
        assert!(section.contains(option), "{section}");
    }
}
