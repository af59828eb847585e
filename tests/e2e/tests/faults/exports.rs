//! Files that follow a farm which is busy, or away.

use super::ensemble::Cluster;
use farm_harness::{
    Ensemble, Running, Scratch, Server, Tool, Zk, ZkError, eventually, eventually_within, patience,
    steadily,
};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const FARM: &str = "/farm";

fn export(servers: &str, scratch: &Scratch) -> Running {
    let running = Tool::new("zkexport")
        .args(["-H", servers, "--session-timeout", "4s", FARM])
        .arg(scratch.join("farm.json"))
        .spawn();
    running.wait_log("the file is current; ");
    running
}

fn says(scratch: &Scratch, wanted: &Value) -> Result<(), String> {
    let text = scratch.read("farm.json")?;
    let found: Value = serde_json::from_str(&text).map_err(|e| format!("{e} in {text:?}"))?;
    if found == *wanted { Ok(()) } else { Err(found.to_string()) }
}

#[test]
fn a_busy_farm_costs_an_exporter_neither_its_session_nor_a_change() {
    let chroot = Ensemble::shared().chroot("busy_farm");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    let path = format!("{FARM}/host");
    zk.create_all(&path, r#"{"n":0}"#).unwrap();
    let exporter = export(&chroot.connect_string(), &scratch);
    let mut delays = Vec::new();
    let mut number = 0;
    for _ in 0..10 {
        let mut next = Instant::now();
        steadily(Duration::from_secs(1), "twenty changes a second", || {
            if Instant::now() >= next {
                next += Duration::from_millis(50);
                number += 1;
                zk.set(&path, json!({"n": number}).to_string()).map_err(|e| e.to_string())?;
            }
            Ok::<_, String>(())
        });
        number += 1;
        zk.set(&path, json!({"n": number}).to_string()).unwrap();
        let changed = Instant::now();
        eventually("the file has the last change", || {
            says(&scratch, &json!({"host": {"n": number}}))
        });
        delays.push(changed.elapsed());
    }
    let log = exporter.stderr();
    assert_eq!(log.matches("connected").count(), 1, "{log}");
    assert!(!log.contains("suspended"), "{log}");
    // The machine may be busy with other tests now and then, but not always.
    delays.sort();
    assert!(delays[5] < patience(Duration::from_millis(100)), "{delays:?}");
}

#[test]
fn a_file_is_left_alone_while_all_servers_are_gone_and_right_afterwards() {
    let cluster = Cluster::start();
    let scratch = Scratch::new();
    let path = format!("{FARM}/host");
    cluster.ensemble.zk().create_all(&path, r#"{"n":0}"#).unwrap();
    let exporter = export(&cluster.servers(), &scratch);
    let file = || fs::metadata(scratch.join("farm.json")).and_then(|file| file.modified()).unwrap();
    let (before, cpu, lines) = (file(), exporter.cpu_time(), exporter.stderr().lines().count());
    cluster.ensemble.servers().iter().for_each(Server::kill);
    // Twice the session timeout: the session is over for sure.
    steadily(Duration::from_secs(8), "the file stays", || {
        if file() == before { Ok(()) } else { Err("it was written") }
    });
    let cost = exporter.cpu_time() - cpu;
    assert!(cost < Duration::from_millis(400), "{cost:?}");
    let log = exporter.stderr();
    assert!(log.lines().count() <= lines + 6, "{log}");
    cluster.ensemble.servers().iter().for_each(Server::start_again);
    cluster.ensemble.servers().iter().for_each(Server::wait_until_serving);
    cluster.ensemble.zk().set(&path, r#"{"n":1}"#).unwrap();
    eventually_within(Duration::from_secs(20), "the file is right", || {
        says(&scratch, &json!({"host": {"n": 1}}))
    });
}

/// Changes ten hosts in turn, and makes each change until it is surely made.
struct Writer {
    servers: Vec<SocketAddr>,
    zk: Option<Zk>,
    numbers: [u64; 10],
    turn: usize,
    next: Instant,
}

impl Writer {
    /// Makes the next change when it is due, or goes on with the last one.
    fn turn(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        let host = self.turn % self.numbers.len();
        let znode = format!("{FARM}/{host}");
        let record = json!({"n": self.numbers[host] + 1}).to_string();
        let Some(mut zk) = self.zk.take().or_else(|| self.connect()) else { return };
        match zk.set(&znode, record) {
            Ok(_) => {
                self.numbers[host] += 1;
                self.turn += 1;
                self.next += Duration::from_millis(20);
                self.zk = Some(zk);
            }
            // Made or not, it is made again: the same number is the same change.
            Err(ZkError::Io(_)) => zk.abandon(),
            Err(e) => panic!("{znode}: {e}"),
        }
    }

    fn connect(&mut self) -> Option<Zk> {
        self.servers.rotate_left(1);
        farm_harness::mode(self.servers[0]).ok()?;
        Zk::connect_within(self.servers[0], Duration::from_millis(500)).ok()
    }

    fn farm(&self) -> Value {
        let host = |(host, number): (usize, &u64)| (host.to_string(), json!({"n": number}));
        self.numbers.iter().enumerate().map(host).collect()
    }
}

#[test]
fn fifty_changes_a_second_during_four_faults_all_reach_the_file() {
    let cluster = Cluster::start();
    let scratch = Scratch::new();
    let mut zk = cluster.ensemble.zk();
    for host in 0..10 {
        zk.create_all(&format!("{FARM}/{host}"), r#"{"n":0}"#).unwrap_or_default();
    }
    let exporter = export(&cluster.servers(), &scratch);
    let servers = cluster.ensemble.servers().iter().map(Server::addr).collect();
    let mut writer = Writer { servers, zk: None, numbers: [0; 10], turn: 0, next: Instant::now() };
    let mut busy = |time: u64| {
        steadily(Duration::from_millis(time), "the writer writes", || {
            writer.turn();
            Ok::<_, String>(())
        });
    };
    let leader = || {
        let addr = cluster.ensemble.leader().addr();
        cluster.ensemble.servers().iter().position(|server| server.addr() == addr).unwrap()
    };
    for fault in ["kill the leader", "freeze a follower", "swallow", "kill a follower"] {
        busy(500);
        let index = if fault == "kill the leader" { leader() } else { (leader() + 1) % 3 };
        let server = cluster.ensemble.server(index);
        match fault {
            "freeze a follower" => server.pause(),
            "swallow" => cluster.swallow(index),
            _ => server.kill(),
        }
        busy(3000);
        match fault {
            "freeze a follower" => server.resume(),
            "swallow" => cluster.pass(index),
            _ => server.start_again(),
        }
        busy(1000);
        cluster.ensemble.servers().iter().for_each(Server::wait_until_serving);
    }
    let wanted = writer.farm();
    assert!(writer.turn > 200, "only {} changes", writer.turn);
    eventually(&format!("the file is {wanted}"), || {
        says(&scratch, &wanted).map_err(|e| format!("{e}\n{}", exporter.stderr()))
    });
    steadily(Duration::from_millis(700), "it stays", || says(&scratch, &wanted));
}
