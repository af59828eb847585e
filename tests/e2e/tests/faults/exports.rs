//! Exported files while a farm changes often, or while servers fail.

use super::ensemble::{Cluster, print_duration, session_of};
use farm_harness::{
    Ensemble, Running, Scratch, Server, Tool, Zk, ZkError, eventually, holds_for, patience,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const FARM: &str = "/farm";

/// Twenty changes a second for a minute.
const CHANGES: u32 = 20 * 60;
const CHANGE_EVERY: Duration = Duration::from_millis(50);

fn export(servers: &str, scratch: &Scratch) -> Running {
    let running = Tool::new("zkexport")
        .args(["-H", servers, "--session-timeout", "4s", FARM])
        .arg(scratch.join("farm.json"))
        .spawn();
    running.wait_log("the file is current; ");
    running
}

fn check_file(scratch: &Scratch, wanted: &Value) -> Result<(), String> {
    let text = scratch.read("farm.json")?;
    let found: Value = serde_json::from_str(&text).map_err(|e| format!("{e} in {text:?}"))?;
    if found == *wanted { Ok(()) } else { Err(found.to_string()) }
}

/// The client address of a session's connection, and when it was established.
fn connection(server: &Server, session: &str) -> Result<String, String> {
    let all = server.four_letter("cons");
    let line = all.lines().find(|line| line.contains(&format!("sid={session},")));
    let line = line.ok_or_else(|| format!("no {session} in\n{all}"))?;
    let since = line.split(',').find(|part| part.starts_with("est=")).unwrap_or_default();
    Ok(format!("{} {since}", line.split('[').next().unwrap_or_default().trim()))
}

#[test]
fn a_minute_of_changes_costs_an_exporter_neither_its_session_nor_a_change() {
    let server = Ensemble::shared().server(0);
    let chroot = Ensemble::shared().chroot("busy_farm");
    let (scratch, mut zk) = (Scratch::new(), chroot.zk());
    let path = format!("{FARM}/host");
    zk.create_all(&path, r#"{"n":0}"#).unwrap();
    let exporter = export(&chroot.connect_string(), &scratch);
    let session = session_of(&exporter);
    let before = connection(server, &session).unwrap();
    let (mut next, mut delays) = (Instant::now(), Vec::new());
    for number in 1..=CHANGES {
        let rest = next.saturating_duration_since(Instant::now());
        holds_for(rest, "time passes", || Ok::<_, String>(()));
        next += CHANGE_EVERY;
        zk.set(&path, json!({"n": number}).to_string()).unwrap();
        // Every second, waits for a change to arrive before making the next one.
        if number % 20 == 0 {
            let changed = Instant::now();
            eventually("the file has the last change", || {
                check_file(&scratch, &json!({"host": {"n": number}}))
            });
            delays.push(changed.elapsed());
        }
    }
    assert_eq!(connection(server, &session), Ok(before), "{}", exporter.stderr());
    let log = exporter.stderr();
    assert_eq!(log.matches("connected").count(), 1, "{log}");
    assert!(!log.contains("suspended"), "{log}");
    print_duration("the last change in the file after", delays[delays.len() - 1]);
    delays.sort();
    let (usual, longest) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    print_duration("  usually", usual);
    print_duration("  at most", longest);
    // The median, because other tests may load the machine at times.
    assert!(usual < patience(Duration::from_millis(100)), "{delays:?}");
}

/// Changes ten hosts in turn, and repeats each change until the server confirms it.
struct Writer {
    servers: Vec<SocketAddr>,
    zk: Option<Zk>,
    numbers: [u64; 10],
    changes: usize,
    next: Instant,
}

impl Writer {
    /// Makes the next change when it is due, or repeats the unconfirmed one.
    fn write_if_due(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        let host = self.changes % self.numbers.len();
        let znode = format!("{FARM}/{host}");
        let record = json!({"n": self.numbers[host] + 1}).to_string();
        let Some(mut zk) = self.zk.take().or_else(|| self.connect()) else { return };
        match zk.set(&znode, record) {
            Ok(_) => {
                self.numbers[host] += 1;
                self.changes += 1;
                self.next += Duration::from_millis(20);
                self.zk = Some(zk);
            }
            // The outcome is unknown. Repeating is safe, because it writes the same number.
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
    let mut writer =
        Writer { servers, zk: None, numbers: [0; 10], changes: 0, next: Instant::now() };
    let mut busy = |time: u64| {
        holds_for(Duration::from_millis(time), "the writer writes", || {
            writer.write_if_due();
            Ok::<_, String>(())
        });
    };
    let leader = || {
        let addr = cluster.ensemble.leader().addr();
        cluster.ensemble.servers().iter().position(|server| server.addr() == addr).unwrap()
    };
    for fault in ["kill the leader", "freeze", "stall", "kill"] {
        busy(500);
        // Other faults hit the server that the exporter is connected to.
        let index = if fault == "kill the leader" { leader() } else { cluster.connected_server() };
        let server = cluster.ensemble.server(index);
        match fault {
            "freeze" => server.pause(),
            "stall" => cluster.stall(index),
            _ => server.kill(),
        }
        busy(3000);
        match fault {
            "freeze" => server.resume(),
            "stall" => cluster.pass(index),
            _ => server.start_again(),
        }
        busy(1000);
        cluster.ensemble.servers().iter().for_each(Server::wait_until_serving);
    }
    let last = Instant::now();
    let wanted = writer.farm();
    assert!(writer.changes > 200, "only {} changes", writer.changes);
    eventually(&format!("the file is {wanted}"), || {
        check_file(&scratch, &wanted).map_err(|e| format!("{e}\n{}", exporter.stderr()))
    });
    print_duration(&format!("{} changes, right after", writer.changes), last.elapsed());
    holds_for(Duration::from_millis(700), "it stays", || check_file(&scratch, &wanted));
}
