//! How zkjoin stops, and what it costs while it is idle.

use super::fixture::{ENTRY, JoinFixture};
use farm_harness::{Create, Running, Signal, eventually, free_port, holds_for, patience};
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const AT_ONCE: Duration = Duration::from_millis(700);

/// Waits until zkjoin catches TERM: before that, the signal's default action ends it.
fn wait_term_handler(running: &Running) {
    eventually("it catches TERM", || {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        let caught = u64::from_str_radix(caught.trim(), 16).unwrap_or(0);
        if caught & (1 << (Signal::SIGTERM as u32 - 1)) == 0 { Err("not yet") } else { Ok(()) }
    });
}

/// Stops zkjoin and returns how long that took.
#[track_caller]
fn stops(running: &mut Running, signal: Signal) -> Duration {
    let start = Instant::now();
    running.signal(signal);
    running.wait_exit().ok();
    start.elapsed()
}

/// Expects that half of the stops are quick. Other load on the machine may delay the rest.
#[track_caller]
fn assert_mostly_quick(mut took: Vec<Duration>) {
    took.sort();
    assert!(took[took.len() / 2] < patience(AT_ONCE), "{took:?}");
}

#[test]
fn it_stops_at_once_before_there_is_any_contact() {
    let fixture = JoinFixture::new("stop_early");
    fixture.dir(&[("a", "1")]);
    // A closed port, and a server that accepts connections and never answers.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for servers in [format!("127.0.0.1:{}", free_port()), mute.local_addr().unwrap().to_string()] {
        let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT];
        let took = signals.map(|signal| {
            let mut running = fixture.zkjoin_at(&servers, "conf").spawn();
            wait_term_handler(&running);
            stops(&mut running, signal)
        });
        assert_mostly_quick(took.to_vec());
    }
}

#[test]
fn it_stops_at_once_while_it_waits_for_a_name() {
    let mut fixture = JoinFixture::new("stop_waiting");
    fixture.dir(&[("a", "1")]);
    fixture.zk.create("/farm", "").unwrap();
    let mut other = fixture.new_client();
    other.create_as(ENTRY, r#"{"hostname":"other"}"#, Create::Ephemeral).unwrap();
    let mut took = Vec::new();
    for _ in 0..3 {
        let mut running = fixture.zkjoin("conf").spawn();
        running.wait_log("the name is taken");
        took.push(stops(&mut running, Signal::SIGTERM));
        assert_eq!(fixture.zk.get(ENTRY).unwrap().stat.ephemeral_owner, other.session_id());
    }
    assert_mostly_quick(took);
}

#[test]
fn it_leaves_the_farm_at_once_and_hup_is_no_end() {
    let mut fixture = JoinFixture::new("stop_joined");
    fixture.dir(&[("a", "1")]);
    let mut took = Vec::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
        let mut running = fixture.join("conf", &[]);
        running.signal(Signal::SIGHUP);
        fixture.scratch.write("conf/a", format!("{signal}"));
        fixture.wait_record(json!({"a": format!("{signal}")}));
        took.push(stops(&mut running, signal));
        assert_eq!(fixture.zk.exists(ENTRY).unwrap(), None, "{}", running.stderr());
    }
    assert_mostly_quick(took);
}

#[test]
fn whenever_it_is_told_to_stop_nothing_stays_behind() {
    let mut fixture = JoinFixture::new("stop_any");
    fixture.dir(&[("a", "1")]);
    let seed = 7;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut took = Vec::new();
    for round in 0..30 {
        let mut running = fixture.zkjoin("conf").spawn();
        wait_term_handler(&running);
        let moment = Instant::now() + Duration::from_micros(rng.u64(..80_000));
        eventually(
            "a random delay",
            || if Instant::now() < moment { Err("not yet") } else { Ok(()) },
        );
        took.push(stops(&mut running, Signal::SIGTERM));
        let left = fixture.zk.exists(ENTRY).unwrap();
        assert_eq!(left, None, "seed {seed}, round {round}: {}", running.stderr());
    }
    assert_mostly_quick(took);
}

#[test]
fn a_second_signal_ends_it_where_it_stands() {
    let fixture = JoinFixture::new("stop_twice");
    fixture.dir(&[("a", "1")]);
    let mut running = fixture.join("conf", &[]);
    // Both signals are pending when it continues. The first alone may end it.
    running.signal(Signal::SIGSTOP);
    running.signal(Signal::SIGTERM);
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGCONT);
    let output = running.wait_exit();
    let is_end = output.code == Some(0) || output.signal.is_some();
    assert!(is_end && output.elapsed < patience(Duration::from_secs(5)), "{output}");
}

#[test]
fn the_log_has_one_line_for_each_event() {
    let mut fixture = JoinFixture::new("log");
    fixture.scratch.write("db.json", r#"{"a": 1}"#);
    let mut running = fixture.join("db.json", &[]);
    fixture.wait_json("db.json", json!({"a": 1}));
    fixture.edit(|record| record["b"] = json!(1));
    fixture.wait_json("db.json", json!({"a": 1, "b": 1}));
    fixture.replace("db.json", r#"{"a": 1, "b": 2}"#);
    fixture.wait_record(json!({"a": 1, "b": 2}));
    fixture.wait_json("db.json", json!({"a": 1, "b": 2}));
    running.wait_log_times("wrote the config", 3);
    running.signal(Signal::SIGTERM);
    let output = running.wait_exit();
    let words = [
        "connected; ",
        "joined; ",
        "wrote the config",
        "wrote the config",
        "published; ",
        "wrote the config",
        "stopping",
    ];
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines.len(), words.len(), "{output}");
    for word in ["connected; ", "joined; ", "published; ", "stopping"] {
        assert_eq!(lines.iter().filter(|line| line.contains(word)).count(), 1, "{word}: {output}");
    }
    assert_eq!(output.stdout, b"");
}

#[test]
fn idling_costs_nothing() {
    let fixture = JoinFixture::new("idle");
    fixture.dir(&[("a", "1")]);
    let mut joined = fixture.join("conf", &[]);
    joined.wait_log("wrote the config");
    let other = JoinFixture::new("idle_unreachable");
    other.dir(&[("a", "1")]);
    let mut lonely = other.zkjoin_at(&format!("127.0.0.1:{}", free_port()), "conf").spawn();
    lonely.wait_log("no server can be reached");
    // A config that is edited before any server was reached.
    let _still_open = fs::File::create(other.scratch.join("conf/b")).unwrap();
    other.scratch.write("conf/c", "1");
    let before = (joined.cpu_time(), lonely.cpu_time());
    let log = (joined.stderr(), lonely.stderr());
    holds_for(Duration::from_secs(5), "both run and log nothing", || {
        let is_calm = joined.is_running() && lonely.is_running();
        let now = (joined.stderr(), lonely.stderr());
        if is_calm && now == log { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let cost = (joined.cpu_time() - before.0, lonely.cpu_time() - before.1);
    assert!(cost.0 <= Duration::from_millis(30), "joined: {cost:?}");
    assert!(cost.1 <= Duration::from_millis(50), "unreachable: {cost:?}");
    assert!(joined.thread_count() <= 12, "{}", joined.thread_count());
}
