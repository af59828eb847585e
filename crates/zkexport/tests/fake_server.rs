//! `zkexport` against a server that can be made to misbehave.

use farm_harness::{
    FakeServer, Running, Scratch, Signal, Tool, eventually, eventually_within, holds_for, op,
    patience,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long the file must stay as it is.
const WHILE: Duration = Duration::from_millis(300);

fn zkexport(server: &FakeServer, scratch: &Scratch, args: &[&str]) -> Tool {
    Tool::program(env!("CARGO_BIN_EXE_zkexport"))
        .env("ZKHOST", server.addr().to_string())
        .cwd(scratch.path())
        .args(["/db", "db.json"])
        .args(args)
}

/// A server with `count` hosts in the farm `/db`.
fn server_with(count: usize) -> FakeServer {
    let server = FakeServer::start();
    server.put("/db", b"");
    for number in 0..count {
        server.put(&format!("/db/h{number:04}"), b"{\"n\":0}");
    }
    server
}

fn file(scratch: &Scratch) -> Value {
    match scratch.read("db.json") {
        Ok(text) => serde_json::from_str(&text).expect("the file is whole at any moment"),
        Err(_) => Value::Null,
    }
}

#[track_caller]
fn wait_for_file(scratch: &Scratch, expected: &Value) {
    eventually("the file", || {
        let seen = file(scratch);
        if seen == *expected { Ok(()) } else { Err(seen) }
    });
}

#[track_caller]
fn wait_for_host(scratch: &Scratch, name: &str, expected: &Value) {
    eventually(name, || {
        let seen = file(scratch);
        if seen[name] == *expected { Ok(()) } else { Err(seen) }
    });
}

#[track_caller]
fn stop(mut running: Running) {
    let asked_at = Instant::now();
    running.signal(Signal::SIGTERM);
    running.wait_exit().ok();
    assert!(asked_at.elapsed() < patience(Duration::from_secs(1)), "took {:?}", asked_at.elapsed());
}

#[test]
fn one_change_among_many_hosts_is_one_read() {
    let (server, scratch) = (server_with(500), Scratch::new());
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("the file is current");
    let before = server.requests().len();
    server.put("/db/h0007", b"{\"n\":1}");
    wait_for_host(&scratch, "h0007", &json!({"n": 1}));
    server.put("/db/new", b"{}");
    wait_for_host(&scratch, "new", &json!({}));
    server.delete("/db/h0008");
    wait_for_host(&scratch, "h0008", &Value::Null);
    server.put("/db/h0009/below", b"nobody cares");
    server.put("/db/last", b"{}");
    wait_for_host(&scratch, "last", &json!({}));
    let requests = server.requests();
    let asked: Vec<_> =
        requests[before..].iter().map(|seen| (seen.opcode, seen.path.as_deref())).collect();
    let expected =
        ["/db/h0007", "/db/new", "/db/h0008", "/db/last"].map(|path| (op::GET_DATA, Some(path)));
    assert_eq!(asked, expected);
    stop(running);
}

#[test]
fn an_old_server_is_watched_host_by_host() {
    let (server, scratch) = (server_with(3), Scratch::new());
    server.old_version();
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("the file is current");
    for n in 1..4 {
        server.put("/db/h0001", format!("{{\"n\":{n}}}").as_bytes());
        wait_for_host(&scratch, "h0001", &json!({"n": n}));
    }
    server.put("/db/new", b"{\"n\":5}");
    wait_for_host(&scratch, "new", &json!({"n": 5}));
    server.put("/db/new", b"{\"n\":6}");
    wait_for_host(&scratch, "new", &json!({"n": 6}));
    server.delete("/db/h0000");
    wait_for_host(&scratch, "h0000", &Value::Null);
    server.cut();
    server.put("/db/h0001", b"{\"n\":9}");
    wait_for_file(&scratch, &json!({"h0001": {"n": 9}, "h0002": {"n": 0}, "new": {"n": 6}}));
    stop(running);
}

#[test]
fn an_old_server_without_the_farm_is_waited_for_too() {
    let (server, scratch) = (FakeServer::start(), Scratch::new());
    server.old_version();
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("no such farm, waiting for it");
    server.put("/db", b"");
    wait_for_file(&scratch, &json!({}));
    server.put("/db/a", b"{}");
    wait_for_file(&scratch, &json!({"a": {}}));
    stop(running);
}

#[test]
fn the_file_stays_while_the_server_is_away_and_catches_up_afterwards() {
    let (server, scratch) = (server_with(2), Scratch::new());
    let running = zkexport(&server, &scratch, &["--session-timeout", "4s"]).spawn();
    running.wait_log("the file is current");
    let both = json!({"h0000": {"n": 0}, "h0001": {"n": 0}});
    server.refuse();
    server.cut();
    running.wait_log("suspended");
    server.delete("/db/h0000");
    server.put("/db/late", b"{}");
    holds_for(WHILE, "the file stays", || {
        let seen = file(&scratch);
        if seen == both { Ok(()) } else { Err(seen) }
    });
    server.accept();
    wait_for_file(&scratch, &json!({"h0001": {"n": 0}, "late": {}}));
    stop(running);
}

#[test]
fn after_a_lost_session_a_new_one_follows_the_farm() {
    let (server, scratch) = (server_with(1), Scratch::new());
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("the file is current");
    server.expire_all();
    running.wait_log("lost: the session is over");
    server.put("/db/h0000", b"{\"n\":7}");
    server.put("/db/new", b"{}");
    wait_for_file(&scratch, &json!({"h0000": {"n": 7}, "new": {}}));
    server.put("/db/new", b"{\"n\":8}");
    wait_for_host(&scratch, "new", &json!({"n": 8}));
    stop(running);
}

#[test]
fn a_connection_cut_in_the_middle_of_the_first_load_leaves_no_part_of_the_farm() {
    let (server, scratch) = (server_with(300), Scratch::new());
    for _ in 0..3 {
        server.before_reply(op::MULTI_READ, FakeServer::cut);
    }
    let running = zkexport(&server, &scratch, &[]).spawn();
    let first = eventually("a file", || match file(&scratch) {
        Value::Null => Err("none"),
        seen => Ok(seen),
    });
    assert_eq!(first.as_object().map(serde_json::Map::len), Some(300));
    stop(running);
}

#[test]
fn term_ends_it_at_once_while_the_server_hangs() {
    let (server, scratch) = (server_with(3), Scratch::new());
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("the file is current");
    server.stall();
    server.put("/db/h0000", b"{\"n\":1}");
    stop(running);
}

#[test]
fn a_server_that_hangs_half_way_is_overdue_not_unreachable() {
    let (server, scratch) = (server_with(3), Scratch::new());
    server.before_reply(op::MULTI_READ, FakeServer::stall);
    let output = zkexport(&server, &scratch, &["--once", "--timeout", "500ms"]).run();
    output.code(124).stderr_has("zkexport: not done in 500 ms\n");
    assert_eq!(file(&scratch), Value::Null);
}

#[test]
fn a_forbidden_farm_ends_it_before_it_was_ready() {
    let scratch = Scratch::new();
    for args in [&[][..], &["--once"]] {
        let server = server_with(1);
        server.lock("/db", "digest", b"nobody:knows");
        let output = zkexport(&server, &scratch, args).run();
        output.code(77).stderr_has("zkexport: not authorised: /db\n");
    }
}

#[test]
fn forbidden_and_malformed_hosts_are_logged_once_and_keep_their_record() {
    let (server, scratch) = (server_with(2), Scratch::new());
    server.put("/db/never", b"nonsense");
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("the file is current");
    server.lock("/db/h0000", "digest", b"nobody:knows");
    server.put("/db/h0000", b"{\"n\":1}");
    running.wait_log("not authorised: /db/h0000; host=h0000");
    for round in 0..3 {
        server.put("/db/h0001", format!("nonsense {round}").as_bytes());
        server.put(&format!("/db/mark{round}"), b"{}");
        wait_for_host(&scratch, &format!("mark{round}"), &json!({}));
    }
    let seen = file(&scratch);
    assert_eq!((&seen["h0000"], &seen["h0001"]), (&json!({"n": 0}), &json!({"n": 0})));
    assert_eq!(seen.get("never"), None);
    running.wait_log_times("a host can't be read, keeping its last record", 2);
    running.wait_log("a host can't be read, leaving it out");
    let log = running.stderr();
    assert_eq!(log.matches("a host can't be read, keeping its last record").count(), 2, "{log}");
    assert_eq!(log.matches("a host can't be read, leaving it out").count(), 1, "{log}");
    server.put("/db/h0001", b"{\"n\":5}");
    wait_for_host(&scratch, "h0001", &json!({"n": 5}));
    stop(running);
}

#[test]
fn an_idle_exporter_asks_for_nothing() {
    let (server, scratch) = (server_with(10), Scratch::new());
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("the file is current");
    let (requests, cpu) = (server.requests().len(), running.cpu_time());
    // Ends as soon as the server sees one more request.
    let is_busy = server.wait_for(Duration::from_secs(1), |view| view.requests().len() > requests);
    assert!(!is_busy, "{:?}", &server.requests()[requests..]);
    let cpu = running.cpu_time().saturating_sub(cpu);
    assert!(cpu <= Duration::from_millis(30), "{cpu:?} of processor time");
    stop(running);
}

#[test]
fn ten_thousand_hosts_are_loaded_and_followed() {
    let (server, scratch) = (server_with(10_000), Scratch::new());
    let running = zkexport(&server, &scratch, &[]).spawn();
    running.wait_log("hosts=10000");
    assert_eq!(file(&scratch).as_object().map(serde_json::Map::len), Some(10_000));
    server.put("/db/h9999", b"{\"n\":1}");
    wait_for_host(&scratch, "h9999", &json!({"n": 1}));
    let count = |opcode| server.requests().iter().filter(|seen| seen.opcode == opcode).count();
    // Most requests read 32 hosts, and a few at the start only 4.
    assert_eq!(count(op::GET_DATA), 1);
    assert!((313..=500).contains(&count(op::MULTI_READ)), "{}", count(op::MULTI_READ));
    stop(running);
}

#[test]
fn hosts_that_a_server_invents_cost_little_and_leave_the_file_alone() {
    let (server, scratch) = (server_with(2), Scratch::new());
    // With a short timeout, a loaded machine takes too long for an answer of this size.
    let mut running = zkexport(&server, &scratch, &["--session-timeout", "40s"]).spawn();
    running.wait_log("the file is current");
    let both = json!({"h0000": {"n": 0}, "h0001": {"n": 0}});
    for (count, why) in [
        (2_000_000, "trying again: more than 1000000 children below /db; farm=/db"),
        (200_000, "trying again: more than 100000 znodes; farm=/db"),
    ] {
        server.invent_children("/db", count);
        running.signal(Signal::SIGHUP);
        running.wait_log(why);
        assert_eq!(file(&scratch), both);
    }
    server.invent_children("/db", 0);
    server.put("/db/h0001", b"{\"n\":1}");
    running.signal(Signal::SIGHUP);
    wait_for_file(&scratch, &json!({"h0000": {"n": 0}, "h0001": {"n": 1}}));
    running.wait_log("the farm can be listed again");
    // A list of two million names has 24 megabytes.
    assert!(running.memory_peak_kb() < 256 << 10, "{} kB", running.memory_peak_kb());
    stop(running);
}

#[test]
fn a_hundred_thousand_hosts_take_some_hundred_bytes_each() {
    let (server, scratch) = (server_with(100_000), Scratch::new());
    let command = "echo $ZK_COUNT $ZK_TRUNCATED > ran";
    let running = zkexport(&server, &scratch, &["--changed-cmd", command]).spawn();
    eventually_within(Duration::from_secs(60), "all hosts", || {
        let log = running.stderr();
        if log.contains("hosts=100000") { Ok(()) } else { Err(log) }
    });
    eventually("the command ran", || match scratch.read("ran")?.as_str() {
        "100000 1\n" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert!(running.memory_peak_kb() < 256 << 10, "{} kB", running.memory_peak_kb());
    stop(running);
}
