//! Who does not trust whom, and how that is told.

use super::Site;
use super::talk::named_otherwise;
use farm_harness::{Authority, Output, Tool, patience};
use std::time::Duration;

/// Tries once, and fails like every tool without a server.
#[track_caller]
fn fails(tool: Tool) -> Output {
    // A server that has just started is slow with its first handshakes.
    let output = tool.args(["-t", "20s", "-r", "1", "ls", "/"]).run();
    output.code(69).stdout_is("").stderr_has("zkctl: no ZooKeeper server reached in ");
    assert_eq!(output.stderr.lines().count(), 2, "{output}");
    output
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let site = named_otherwise("zk1.example.com");
    let told = format!(
        "{}: TLS: certificate is for another name: not 127.0.0.1 but zk1.example.com\nhint: \
         set the expected name",
        site.addr()
    );
    fails(site.stranger("zkctl")).stderr_has(&told);
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused() {
    let site = Site::open();
    site.scratch.write("other.pem", Authority::new("farm").pem());
    let tool = site.stranger("zkctl").env("ZK_TLS_CA", site.scratch.join("other.pem"));
    let told = "TLS: certificate has an unknown issuer\nhint: name the servers' authority";
    fails(tool.clone()).stderr_has(told);
    let output = tool.args(["-t", "1s", "ls", "/"]).run();
    output.code(69);
    assert!(output.elapsed < patience(Duration::from_secs(3)), "{output}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let site = Site::open();
    let expired = site.authority.issue_expired(&super::NAMES);
    site.scratch.write("server.pem", expired.both());
    site.server().restart();
    fails(site.stranger("zkctl")).stderr_has("TLS: certificate has expired");
}

#[test]
fn a_server_that_wants_a_certificate_says_so() {
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let site = Site::speaking(protocol, 1, true);
        let output = fails(site.stranger("zkctl"));
        output
            .stderr_has("TLS: server ")
            .stderr_has("hint: the servers may require a client certificate");
        let other = Authority::new("other").issue(&["client"]);
        let tool = site
            .stranger("zkctl")
            .env("ZK_TLS_CERT", site.scratch.write("other.pem", other.cert))
            .env("ZK_TLS_KEY", site.scratch.write("other.key", other.key));
        fails(tool).stderr_has("TLS: server ");
        let output = site.tool("zkctl").args(["-vv", "ls", "/"]).run();
        output.ok().stderr_has(&format!("version={} ", protocol.trim_start_matches("TLSv")));
    }
}

#[test]
fn tls_and_plain_text_do_not_meet() {
    let site = Site::open();
    let plain_port = site.server().addr().to_string();
    let output = fails(site.stranger("zkctl").env("ZKHOST", plain_port));
    output.stderr_has("TLS: server ").stderr_has("hint: name the secure port");
    let output = fails(Tool::new("zkctl").env("ZKHOST", site.servers()));
    output.stderr_has("want TLS");
}
