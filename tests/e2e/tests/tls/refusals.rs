//! Certificates that are refused, and the error messages.

use super::TlsFixture;
use super::tools::with_certificate_for;
use farm_harness::{Authority, Output, Tool, patience};
use std::time::Duration;

/// Runs zkctl with one attempt, and expects that it reaches no server.
#[track_caller]
fn fails(tool: Tool) -> Output {
    // The first handshakes of a server are slow.
    let output = tool.args(["-t", "20s", "-r", "1", "ls", "/"]).run();
    output.code(69).stdout_is("").stderr_has("zkctl: no ZooKeeper server reached in ");
    assert_eq!(output.stderr.lines().count(), 2, "{output}");
    output
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let fixture = with_certificate_for("zk1.example.com");
    let expected = format!(
        "{}: TLS: certificate is for another name: not 127.0.0.1 but zk1.example.com\nhint: set \
         the expected name with --tls-server-name",
        fixture.addr()
    );
    fails(fixture.tool_without_certificate("zkctl")).stderr_has(&expected);
}

#[test]
fn a_certificate_of_an_unknown_issuer_is_refused() {
    let fixture = TlsFixture::open();
    fixture.scratch.write("other.pem", Authority::new("farm").pem());
    let tool = fixture
        .tool_without_certificate("zkctl")
        .env("ZK_TLS_CA", fixture.scratch.join("other.pem"));
    let expected = "TLS: certificate has an unknown issuer\nhint: name the servers' authority";
    fails(tool.clone()).stderr_has(expected);
    let output = tool.args(["-t", "1s", "ls", "/"]).run();
    output.code(69);
    assert!(output.elapsed < patience(Duration::from_secs(3)), "{output}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let fixture = TlsFixture::open();
    let expired = fixture.authority.issue_expired(&super::NAMES);
    fixture.scratch.write("server.pem", expired.both());
    fixture.server().restart();
    fails(fixture.tool_without_certificate("zkctl")).stderr_has("TLS: certificate has expired");
}

#[test]
fn a_server_that_wants_a_certificate_says_so() {
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let fixture = TlsFixture::with_protocol(protocol, 1, true);
        let output = fails(fixture.tool_without_certificate("zkctl"));
        output
            .stderr_has("TLS: server ")
            .stderr_has("hint: the servers may require a client certificate");
        let other = Authority::new("other").issue(&["client"]);
        let tool = fixture
            .tool_without_certificate("zkctl")
            .env("ZK_TLS_CERT", fixture.scratch.write("other.pem", other.cert))
            .env("ZK_TLS_KEY", fixture.scratch.write("other.key", other.key));
        fails(tool).stderr_has("TLS: server ");
        let output = fixture.tool("zkctl").args(["-vv", "ls", "/"]).run();
        output.ok().stderr_has(&format!("version={} ", protocol.trim_start_matches("TLSv")));
    }
}

#[test]
fn tls_and_plain_text_do_not_meet() {
    let fixture = TlsFixture::open();
    let plain_port = fixture.server().addr().to_string();
    let output = fails(fixture.tool_without_certificate("zkctl").env("ZKHOST", plain_port));
    output.stderr_has("TLS: server ").stderr_has("hint: name the secure port");
    let output = fails(Tool::new("zkctl").env("ZKHOST", fixture.servers()));
    output.stderr_has("require TLS");
}
