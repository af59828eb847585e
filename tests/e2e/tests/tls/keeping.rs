//! A session outlives its server, over TLS too.

use super::Site;
use farm_harness::{FaultProxy, Running, Server, eventually, eventually_within};
use std::time::Duration;

#[test]
fn a_session_outlives_servers_that_are_killed_and_frozen() {
    let site = Site::strict(3);
    let host = site.join("20s");
    let stat = site.ensemble.zk().get("/farm/host").unwrap().stat;
    for round in 1..=2 {
        let carrier = carrier(&site, &host.stderr());
        if round == 1 {
            carrier.kill();
        } else {
            carrier.pause();
        }
        is_back(&host, round);
        site.scratch.write("conf/enabled", format!("{round}"));
        eventually_within(Duration::from_secs(20), "the edit arrives", || {
            let record = crate::join::stage::record(&mut site.ensemble.zk(), "/farm/host")?;
            if record["enabled"] == format!("{round}") { Ok(()) } else { Err(record.to_string()) }
        });
        if round == 1 { carrier.restart() } else { carrier.resume() }
    }
    let after = site.ensemble.zk().get("/farm/host").unwrap().stat;
    assert_eq!((after.czxid, after.ephemeral_owner), (stat.czxid, stat.ephemeral_owner));
}

/// Silence takes its time to be noticed, and servers that are new to TLS are slow.
#[track_caller]
fn is_back(host: &Running, times: usize) {
    eventually_within(Duration::from_secs(40), "another server carries the session", || {
        let log = host.stderr();
        let seen = log.matches("connected again, same session").count();
        if seen >= times { Ok(()) } else { Err(log) }
    });
}

/// The server that the log names last.
fn carrier<'a>(site: &'a Site, log: &str) -> &'a Server {
    let line = log.lines().rfind(|line| line.contains("connected")).expect("it has connected");
    let named = |server: &&Server| line.contains(&format!("server={} ", server.secure_addr()));
    site.ensemble.servers().iter().find(named).expect("it is one of ours")
}

#[test]
fn a_wire_that_breaks_or_falls_silent_is_replaced() {
    let site = Site::strict(1);
    let proxy = FaultProxy::start(site.addr());
    site.scratch.write("conf/enabled", "1");
    let host = site
        .tool("zkjoin")
        .env("ZKHOST", proxy.addr().to_string())
        .args(["--session-timeout", "10s", "--name", "host", "/farm"])
        .arg(site.scratch.join("conf"))
        .spawn();
    host.wait_log("joined; ");
    proxy.cut();
    is_back(&host, 1);
    proxy.reset();
    is_back(&host, 2);
    proxy.stall();
    host.wait_log("why=\"it stopped answering\"");
    // What it tries meanwhile ends in the middle of a handshake.
    host.wait_log("TLS: no answer in the handshake");
    proxy.cut();
    proxy.pass();
    // By then the server may have heard nothing for longer than the session lasts.
    host.wait_log_times("INFO  connected", 4);
    site.scratch.write("conf/enabled", "0");
    eventually("the edit arrives", || {
        let record = crate::join::stage::record(&mut site.ensemble.zk(), "/farm/host")?;
        if record["enabled"] == "0" { Ok(()) } else { Err(record.to_string()) }
    });
}
