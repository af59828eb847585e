//! All tools work with TLS as without.

use super::TlsFixture;
use crate::join::fixture::record;
use farm_harness::{Server, Tool, eventually};
use serde_json::{Value, json};

#[test]
fn all_tools_work_where_certificates_are_wanted() {
    let fixture = TlsFixture::strict(1);
    let mut zk = fixture.ensemble.zk();
    let mut host = fixture.join("4s");
    let hosts = fixture.scratch.join("hosts.json");
    let exporter = fixture.tool("zkexport").arg("/farm").arg(&hosts).spawn();
    exporter.wait_log("the file is current");

    fixture.scratch.write("conf/enabled", "0");
    let exported = || -> Result<Value, String> {
        serde_json::from_str(&fixture.scratch.read("hosts.json")?).map_err(|e| e.to_string())
    };
    eventually("the local edit is in the exported file", || {
        let farm = exported()?;
        if farm["host"]["enabled"] == json!("0") { Ok(()) } else { Err(farm.to_string()) }
    });
    fixture.tool("zkctl").args(["set", "/farm/host", "weight", "7"]).run().ok().stderr_is("");
    eventually("the remote edit is in the config", || {
        let weight = fixture.scratch.read("conf/weight")?;
        if weight == "7" { Ok(()) } else { Err(weight) }
    });
    let listed = fixture.tool("zkctl").args(["get", "/farm/host", "weight"]).run();
    listed.ok().stdout_is("7\n");
    assert_eq!(record(&mut zk, "/farm/host").unwrap()["weight"], json!("7"));

    host.signal(farm_harness::Signal::SIGTERM);
    host.wait_exit().ok();
    assert_eq!(zk.exists("/farm/host").unwrap(), None, "it closes its session");
}

/// In both directions, more bytes than socket buffers and TLS records hold.
#[test]
fn large_records_pass_whole() {
    const HOSTS: usize = 24;
    let fixture = TlsFixture::open();
    fixture.ensemble.zk().create_all("/farm", "{}").unwrap();
    let text = "0123456789".repeat(90_000);
    for host in 0..HOSTS {
        let path = format!("/farm/h{host:02}");
        let set =
            fixture.tool_without_certificate("zkctl").args(["set", "--create", &path, "text", "-"]);
        set.stdin(format!("{text}{host:02}")).run().ok();
    }
    let output = fixture
        .tool_without_certificate("zkexport")
        .args(["--once", "-f", "json", "/farm", "-"])
        .run();
    let farm: Value = serde_json::from_slice(&output.ok().stdout).unwrap();
    for host in 0..HOSTS {
        let found = farm[format!("h{host:02}")]["text"].as_str().unwrap();
        assert!(found == format!("{text}{host:02}"), "host {host}: {} bytes", found.len());
    }
}

#[test]
fn servers_are_known_by_name_and_by_address() {
    let fixture = TlsFixture::open();
    let port = fixture.addr().port();
    let ls = |servers: String| {
        fixture.tool_without_certificate("zkctl").env("ZKHOST", servers).args(["ls", "/"])
    };
    for servers in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        ls(servers).run().ok();
    }
    let fixture = with_certificate_for("zk1.example.com");
    let servers = || fixture.addr().to_string();
    ls(servers()).args(["-t", "20s", "-r", "1"]).run().code(69);
    let expecting = |name| {
        fixture.tool_without_certificate("zkctl").args(["ls", "/", "--tls-server-name", name])
    };
    expecting("zk1.example.com").run().ok();
    expecting("zk2.example.com").args(["-t", "20s", "-r", "1"]).run().code(69);
}

/// A fixture whose server's certificate has only this name.
pub(super) fn with_certificate_for(name: &str) -> TlsFixture {
    let fixture = TlsFixture::open();
    fixture.scratch.write("server.pem", fixture.authority.issue(&[name]).both());
    Server::restart(fixture.server());
    fixture
}

#[test]
fn authorities_of_the_system_are_trusted_when_none_is_named() {
    let fixture = TlsFixture::open();
    // None of them issued our server's certificate.
    let output = Tool::new("zkctl")
        .env("ZKHOST", fixture.servers())
        .args(["--tls", "--session-timeout", "60s", "-t", "20s", "-r", "1", "ls", "/"])
        .run();
    output.code(69).stderr_has("TLS: certificate has an unknown issuer");
}
