//! Other users' access to the port on which zkjoin's relay listens.

use super::ensemble::session_of;
use crate::join::fixture::JoinFixture;
use farm_harness::{Ensemble, FaultProxy, Output, Running, Tool, eventually};
use serde_json::json;
use std::fs;

/// The loopback port on which a process listens.
fn port(running: &Running) -> u16 {
    eventually("it listens", || {
        let of = format!("/proc/{}", running.pid());
        let sockets: Vec<String> = fs::read_dir(format!("{of}/fd"))
            .map_err(|e| e.to_string())?
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.replace(']', "")))
            .collect();
        let table = fs::read_to_string(format!("{of}/net/tcp")).map_err(|e| e.to_string())?;
        let port = table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
            let is_its_own = *state == "0A" && sockets.iter().any(|socket| socket == inode);
            let (address, port) = local.split_once(':')?;
            assert!(!is_its_own || address == "0100007F", "it listens on all interfaces: {line}");
            is_its_own.then(|| u16::from_str_radix(port, 16).ok())?
        });
        port.ok_or(table)
    })
}

/// Another user opens a ZooKeeper session at a port and lists the children of the root. The
/// last line on standard error is the user id.
fn intrude(port: u16) -> Output {
    let greeting = r"\0\0\0\x2c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x27\x10\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let children = r"\0\0\0\x0e\0\0\0\x01\0\0\0\x08\0\0\0\x01/\0";
    let script = format!(
        "trap '' PIPE; exec 3<>/dev/tcp/127.0.0.1/{port}
         {{ printf '{greeting}'; printf '{children}'; }} >&3 2>/dev/null
         timeout 1 cat <&3 2>/dev/null; id -u >&2"
    );
    let shell = if nix::unistd::geteuid().is_root() {
        let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "bash"];
        Tool::program("setpriv").args(nobody)
    } else {
        Tool::program("bash")
    };
    shell.args(["-c", &script]).cwd("/").run()
}

#[test]
fn another_users_process_gets_nothing_from_the_port_of_a_host() {
    let mut fixture = JoinFixture::new("intruder");
    fixture.dir(&[("a", "1")]);
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let running = fixture.zkjoin_at(&fixture.servers_at(proxy.addr()), "conf").spawn();
    running.wait_log("joined; ");
    // A server answers this handshake, so it is valid.
    let addr = Ensemble::shared().server(0).addr();
    assert!(!intrude(addr.port()).stdout.is_empty());
    for round in 2..=3 {
        let session = session_of(&running);
        let got = intrude(port(&running));
        assert!(got.stdout.is_empty(), "{got}");
        let who = got.stderr.lines().last().and_then(|id| id.parse::<u32>().ok());
        let is_root = nix::unistd::geteuid().is_root();
        assert_eq!(who, Some(if is_root { 65534 } else { nix::unistd::geteuid().as_raw() }));
        // The host is not affected.
        fixture.scratch.write("conf/a", round.to_string());
        fixture.wait_record(json!({"a": round.to_string()}));
        assert_eq!(session_of(&running), session, "{}", running.stderr());
        // The next session uses another port.
        proxy.expire().unwrap();
        running.wait_log_times(" connected; ", round);
        running.wait_log_times("joined again; ", round - 1);
    }
}
