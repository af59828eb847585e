//! What a change costs the server, by its own count.

use farm_harness::{Ensemble, Scratch, Tool, eventually, steadily};
use serde_json::{Value, json};
use std::time::Duration;

const HOSTS: usize = 1000;
const CHANGES: usize = 20;

/// How often the server was asked for data or children below `/farm`.
fn reads(ensemble: &Ensemble) -> usize {
    let counters = ensemble.server(0).four_letter("mntr");
    let line =
        counters.lines().find_map(|line| line.strip_prefix("zk_cnt_farm_read_per_namespace"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{counters}"))
}

#[test]
fn one_change_among_a_thousand_hosts_is_one_read_of_one_znode() {
    // The server counts by the first name of a path, so it has to be ours alone.
    let ensemble = Ensemble::start(1);
    let mut zk = ensemble.zk();
    zk.create_all("/farm", "").unwrap();
    let host = |n: usize| (format!("/farm/host{n:04}"), json!({"n": n, "serial": 0}).to_string());
    zk.create_each(&(0..HOSTS).map(host).collect::<Vec<_>>()).unwrap();
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
    // And none for nothing.
    steadily(Duration::from_millis(500), "no further read", || match reads(&ensemble) - before {
        CHANGES => Ok(()),
        more => Err(more),
    });
}
