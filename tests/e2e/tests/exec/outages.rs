//! ZooKeeper fails and comes back.

use super::fixture::{ExecFixture, RECORDING_CHILD, stop};
use super::processes::{is_alive, send};
use farm_harness::{Ensemble, FaultProxy, Running, Scratch, Signal, Tool, eventually, patience};
use std::time::{Duration, Instant};

const HEALTH: [&str; 6] = ["-H", "true", "-d", "0", "-i", "0.25"];
/// Longer than the session timeout.
const OUTAGE: Duration = Duration::from_secs(7);

/// Expects that the child survives an outage and is checked, at little cost.
#[track_caller]
fn assert_survives(running: &Running, child: i32) {
    // Both from one copy of the log, because a check may be logged at any time.
    let counts = || {
        let log = running.stderr();
        (log.matches("successful health check").count(), log.lines().count())
    };
    let (before, cpu, begun) = (counts(), running.cpu_time(), Instant::now());
    farm_harness::holds_for(OUTAGE, "the child lives", || {
        if is_alive(child) { Ok(()) } else { Err("it is gone") }
    });
    let after = counts();
    let made = after.0 - before.0;
    assert!(made >= 10, "{made} checks in {:?}", begun.elapsed());
    let spent = running.cpu_time() - cpu;
    assert!(spent < patience(Duration::from_millis(300)), "{spent:?}");
    // Each check logs two lines, the first of which may have been counted before.
    let lines = (after.1 - before.1).saturating_sub(2 * made);
    assert!(lines <= 6, "{lines} lines\n{}", running.stderr());
}

#[test]
fn a_child_runs_on_and_is_watched_while_nobody_answers() {
    let mut fixture = ExecFixture::with_conf("nobody_answers", "a");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "0", "-m", "conf=/conf", "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).args(HEALTH).spawn();
    let (child, _) = fixture.wait_starts(1);
    // First the server is silent, then it refuses connections.
    proxy.stall();
    running.wait_log("suspended");
    proxy.refuse();
    proxy.cut();
    fixture.zk.set("/conf", "b").unwrap();
    assert_survives(&running, child);
    assert_eq!(fixture.contents(), ["a"]);
    proxy.pass();
    proxy.accept();
    assert_eq!(fixture.wait_starts(2).1, "b");
    stop(running);
}

#[test]
fn a_server_that_is_frozen_and_killed_takes_no_child_with_it() {
    let ensemble = Ensemble::start(1);
    let server = ensemble.server(0);
    let scratch = Scratch::new();
    ensemble.zk().create("/conf", "a").unwrap();
    let child = "cat conf >> starts; echo $$ > pid; exec sleep 1000";
    let args = ["-c", &ensemble.connect_string(), "-w", "0", "-m", "conf=/conf", "-e", child];
    let running = Tool::new("zkexec")
        .env("ZK_SESSION_TIMEOUT", "4s")
        .cwd(scratch.path())
        .args(args)
        .args(HEALTH)
        .spawn();
    let pid = || scratch.read("pid")?.trim().parse::<i32>().map_err(|e| e.to_string());
    let child = eventually("the child", pid);
    server.pause();
    running.wait_log("suspended");
    server.kill();
    assert_survives(&running, child);
    server.restart();
    ensemble.zk().set("/conf", "b").unwrap();
    eventually("the new content", || match scratch.read("starts")?.as_str() {
        "ab" => Ok(()),
        other => Err(other.to_owned()),
    });
    stop(running);
}

#[test]
fn a_child_that_ends_meanwhile_ends_us_with_its_code() {
    for (signal, code) in [(Some(Signal::SIGKILL), 137), (None, 143)] {
        let fixture = ExecFixture::with_conf("ends_meanwhile", "a");
        let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
        let servers = fixture.servers_at(proxy.addr());
        let args =
            ["-c", &servers, "-w", "0", "-m", "conf=/conf", "-l", "group", "-e", RECORDING_CHILD];
        let mut running = fixture.zkexec(&args).spawn();
        let (child, _) = fixture.wait_starts(1);
        proxy.stall();
        running.wait_log("suspended");
        let begun = Instant::now();
        match signal {
            Some(signal) => send(child, signal),
            None => running.signal(Signal::SIGTERM),
        }
        let output = running.wait_exit();
        output.code(code);
        assert!(begun.elapsed() < patience(Duration::from_secs(2)), "{output}");
    }
}

#[test]
fn a_session_that_is_over_is_one_reread_and_no_restart() {
    let mut fixture = ExecFixture::with_conf("a_session_that_is_over", "a");
    let proxy = FaultProxy::start(Ensemble::shared().server(0).addr());
    let servers = fixture.servers_at(proxy.addr());
    let args = ["-c", &servers, "-w", "0", "-m", "conf=/conf", "-e", RECORDING_CHILD];
    let running = fixture.zkexec(&args).spawn();
    fixture.wait_starts(1);
    for round in 0..3 {
        proxy.expire().unwrap();
        running.wait_log_times("lost: ", round + 1);
        running.wait_log_times("connected", round + 2);
    }
    assert_eq!(fixture.contents(), ["a"]);
    fixture.zk.set("/conf", "b").unwrap();
    assert_eq!(fixture.wait_starts(2).1, "b");
    stop(running);
}
