//! What works in plain text works over TLS.

use super::Site;
use crate::join::stage::record;
use farm_harness::{Server, Tool, eventually};
use serde_json::{Value, json};

#[test]
fn all_tools_work_where_certificates_are_wanted() {
    let site = Site::strict(1);
    let mut zk = site.ensemble.zk();
    let mut host = site.join("4s");
    let hosts = site.scratch.join("hosts.json");
    let exporter = site.tool("zkexport").arg("/farm").arg(&hosts).spawn();
    exporter.wait_log("the file is current");

    site.scratch.write("conf/enabled", "0");
    let exported = || -> Result<Value, String> {
        serde_json::from_str(&site.scratch.read("hosts.json")?).map_err(|e| e.to_string())
    };
    eventually("the local edit is in the exported file", || {
        let farm = exported()?;
        if farm["host"]["enabled"] == json!("0") { Ok(()) } else { Err(farm.to_string()) }
    });
    site.tool("zkctl").args(["set", "/farm/host", "weight", "7"]).run().ok().stderr_is("");
    eventually("the remote edit is in the config", || {
        let weight = site.scratch.read("conf/weight")?;
        if weight == "7" { Ok(()) } else { Err(weight) }
    });
    let listed = site.tool("zkctl").args(["get", "/farm/host", "weight"]).run();
    listed.ok().stdout_is("7\n");
    assert_eq!(record(&mut zk, "/farm/host").unwrap()["weight"], json!("7"));

    host.signal(farm_harness::Signal::SIGTERM);
    host.wait_exit().ok();
    assert_eq!(zk.exists("/farm/host").unwrap(), None, "it said goodbye");
}

/// Both ways, more than sockets and TLS hold at once.
#[test]
fn large_records_pass_whole() {
    const HOSTS: usize = 24;
    let site = Site::open();
    site.ensemble.zk().create_all("/farm", "{}").unwrap();
    let text = "0123456789".repeat(90_000);
    for host in 0..HOSTS {
        let path = format!("/farm/h{host:02}");
        let set = site.stranger("zkctl").args(["set", "--create", &path, "text", "-"]);
        set.stdin(format!("{text}{host:02}")).run().ok();
    }
    let output = site.stranger("zkexport").args(["--once", "-f", "json", "/farm", "-"]).run();
    let farm: Value = serde_json::from_slice(&output.ok().stdout).unwrap();
    for host in 0..HOSTS {
        let found = farm[format!("h{host:02}")]["text"].as_str().unwrap();
        assert!(found == format!("{text}{host:02}"), "host {host}: {} bytes", found.len());
    }
}

#[test]
fn servers_are_known_by_name_and_by_address() {
    let site = Site::open();
    let port = site.addr().port();
    let ls = |servers: String| site.stranger("zkctl").env("ZKHOST", servers).args(["ls", "/"]);
    for servers in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        ls(servers).run().ok();
    }
    let site = named_otherwise("zk1.example.com");
    let servers = || site.addr().to_string();
    ls(servers()).args(["-t", "20s", "-r", "1"]).run().code(69);
    let expecting = |name| site.stranger("zkctl").args(["ls", "/", "--tls-server-name", name]);
    expecting("zk1.example.com").run().ok();
    expecting("zk2.example.com").args(["-t", "20s", "-r", "1"]).run().code(69);
}

/// A site whose server's certificate is for this name alone.
pub(super) fn named_otherwise(name: &str) -> Site {
    let site = Site::open();
    site.scratch.write("server.pem", site.authority.issue(&[name]).both());
    Server::restart(site.server());
    site
}

#[test]
fn authorities_of_the_system_are_trusted_when_none_is_named() {
    let site = Site::open();
    // They know nothing of our server.
    let output = Tool::new("zkctl")
        .env("ZKHOST", site.servers())
        .args(["--tls", "--session-timeout", "60s", "-t", "20s", "-r", "1", "ls", "/"])
        .run();
    output.code(69).stderr_has("TLS: certificate has an unknown issuer");
}
