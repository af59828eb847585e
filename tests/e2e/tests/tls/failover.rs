//! A session survives the loss of its server, also with TLS.

use super::TlsFixture;
use farm_harness::{FaultProxy, Running, Server, eventually, eventually_within};
use std::time::Duration;

#[test]
fn a_session_outlives_servers_that_are_killed_and_frozen() {
    let fixture = TlsFixture::strict(3);
    let host = fixture.join("20s");
    let stat = fixture.ensemble.zk().get("/farm/host").unwrap().stat;
    for round in 1..=2 {
        let server = connected_server(&fixture, &host.stderr());
        if round == 1 {
            server.kill();
        } else {
            server.pause();
        }
        wait_reconnected(&host, round);
        fixture.scratch.write("conf/enabled", format!("{round}"));
        eventually_within(Duration::from_secs(20), "the edit arrives", || {
            let record = crate::join::fixture::record(&mut fixture.ensemble.zk(), "/farm/host")?;
            if record["enabled"] == format!("{round}") { Ok(()) } else { Err(record.to_string()) }
        });
        if round == 1 { server.restart() } else { server.resume() }
    }
    let after = fixture.ensemble.zk().get("/farm/host").unwrap().stat;
    assert_eq!((after.czxid, after.ephemeral_owner), (stat.czxid, stat.ephemeral_owner));
}

/// Noticing a silent server takes time, and the first TLS handshakes of a server are slow.
#[track_caller]
fn wait_reconnected(host: &Running, times: usize) {
    eventually_within(Duration::from_secs(40), "the session is connected again", || {
        let log = host.stderr();
        let seen = log.matches("connected again, same session").count();
        if seen >= times { Ok(()) } else { Err(log) }
    });
}

/// The last server in the log.
fn connected_server<'a>(fixture: &'a TlsFixture, log: &str) -> &'a Server {
    let line = log.lines().rfind(|line| line.contains("connected")).expect("it has connected");
    let named = |server: &&Server| line.contains(&format!("server={} ", server.secure_addr()));
    fixture.ensemble.servers().iter().find(named).expect("it is one of ours")
}

#[test]
fn a_wire_that_breaks_or_falls_silent_is_replaced() {
    let fixture = TlsFixture::strict(1);
    let proxy = FaultProxy::start(fixture.addr());
    fixture.scratch.write("conf/enabled", "1");
    let host = fixture
        .tool("zkjoin")
        .env("ZKHOST", proxy.addr().to_string())
        .args(["--session-timeout", "10s", "--name", "host", "/farm"])
        .arg(fixture.scratch.join("conf"))
        .spawn();
    host.wait_log("joined; ");
    proxy.cut();
    wait_reconnected(&host, 1);
    proxy.reset();
    wait_reconnected(&host, 2);
    proxy.stall();
    host.wait_log("why=\"it stopped answering\"");
    // New connections time out in the handshake.
    host.wait_log("TLS: no answer in the handshake");
    proxy.cut();
    proxy.pass();
    // The session may have expired by now, so this may be a new one.
    host.wait_log_times("INFO  connected", 4);
    fixture.scratch.write("conf/enabled", "0");
    eventually("the edit arrives", || {
        let record = crate::join::fixture::record(&mut fixture.ensemble.zk(), "/farm/host")?;
        if record["enabled"] == "0" { Ok(()) } else { Err(record.to_string()) }
    });
}
