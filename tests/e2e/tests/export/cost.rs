//! How many requests the server counts.

use farm_harness::{Ensemble, Scratch, Tool, Zk, eventually, holds_for};
use serde_json::{Value, json};
use std::time::Duration;

const HOSTS: usize = 1000;
const CHANGES: usize = 20;

fn counter(ensemble: &Ensemble, name: &str) -> usize {
    let counters = ensemble.server(0).four_letter("mntr");
    let line = counters.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{counters}"))
}

/// The number of reads below `/farm`.
fn reads(ensemble: &Ensemble) -> usize {
    counter(ensemble, "zk_cnt_farm_read_per_namespace")
}

fn host(n: usize) -> (String, String) {
    (format!("/farm/host{n:04}"), json!({"n": n, "serial": 0}).to_string())
}

/// Starts a server of its own, because the server counts reads by the first component of the
/// path.
fn farm() -> (Ensemble, Zk) {
    let ensemble = Ensemble::start(1);
    let mut zk = ensemble.zk();
    zk.create_all("/farm", "").unwrap();
    zk.create_each(&(0..HOSTS).map(host).collect::<Vec<_>>()).unwrap();
    (ensemble, zk)
}

#[test]
fn a_thousand_hosts_are_read_in_some_fifty_requests() {
    let (ensemble, _zk) = farm();
    let scratch = Scratch::new();
    let requests = || counter(&ensemble, "zk_packets_received");
    let export = Tool::new("zkexport").env("ZKHOST", ensemble.connect_string());
    let list = Tool::new("zkctl").env("ZKHOST", ensemble.connect_string());
    for (tool, args) in [
        (export.cwd(scratch.path()), ["--once", "/farm", "farm.json"]),
        (list, ["ls", "-l", "/farm"]),
    ] {
        let before = requests();
        tool.args(args).run().ok();
        // Reading the counter takes some requests, too.
        let took = requests() - before;
        assert!((30..=80).contains(&took), "{took} requests of {args:?}");
    }
}

#[test]
fn one_change_among_a_thousand_hosts_is_one_read_of_one_znode() {
    let (ensemble, mut zk) = farm();
    let scratch = Scratch::new();
    let tool = Tool::new("zkexport").env("ZKHOST", ensemble.connect_string());
    let running = tool.cwd(scratch.path()).args(["/farm", "farm.json"]).spawn();
    running.wait_log("the file is current");
    let before = reads(&ensemble);
    for serial in 1..=CHANGES {
        let (path, _) = host(serial * 7 % HOSTS);
        zk.set(&path, json!({"serial": serial}).to_string()).unwrap();
        let name = path.trim_start_matches("/farm/").to_owned();
        eventually("the change in the file", || {
            let text = scratch.read("farm.json")?;
            let file: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
            let (count, host) = (file.as_object().map_or(0, |hosts| hosts.len()), &file[&name]);
            let is_right = count == HOSTS && *host == json!({"serial": serial});
            if is_right { Ok(()) } else { Err(format!("{count} hosts, {host}")) }
        });
    }
    assert_eq!(reads(&ensemble) - before, CHANGES);
    // No reads without a change.
    holds_for(Duration::from_millis(500), "no further read", || match reads(&ensemble) - before {
        CHANGES => Ok(()),
        more => Err(more),
    });
}
