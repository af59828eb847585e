//! What a session costs. Each test runs its work in a process of its own, so that only its
//! own threads, descriptors and CPU time are counted.

use crate::fixture::{Fixture, path};
use farm_harness::{FakeServer, Timeouts, eventually, op};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Set in that process.
const ALONE: &str = "FARM_TEST_ALONE";

fn alone(test: &str, work: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        return work();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("costs::{test}"), "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("1 passed"), "the test has another name: {stdout}");
}

/// User and system time of the threads of the session, in hundredths of a second. The
/// fake server's thread, which is in the same process, is not counted.
fn cpu_hundredths() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let of_one = |stat: String| {
        // The name in parentheses may hold any character.
        let (head, fields) = stat.rsplit_once(')').unwrap();
        let is_servers = head.contains("(fake-ensemble") || head.contains("(fault-proxy");
        let mut fields = fields.split_whitespace().skip(11);
        let mut number = || fields.next().unwrap().parse::<u64>().unwrap();
        if is_servers { 0 } else { number() + number() }
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")).ok())
        .map(of_one)
        .sum()
}

fn spent(work: impl FnOnce()) -> u64 {
    let before = cpu_hundredths();
    work();
    cpu_hundredths() - before
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn idle_session_costs_no_cpu() {
    alone("idle_session_costs_no_cpu", || {
        let server = FakeServer::start();
        let (fixture, _) = Fixture::brief_at(&server);
        let spent = spent(|| assert!(fixture.is_quiet_for(Duration::from_secs(5))));
        assert!(spent <= 1, "{spent} hundredths of a second");
        assert!(server.pings() >= 3);
    });
}

#[test]
fn refused_port_costs_no_cpu() {
    alone("refused_port_costs_no_cpu", || {
        let server = FakeServer::start();
        let (fixture, _) = Fixture::brief_at(&server);
        server.refuse();
        server.cut();
        fixture.suspended();
        let spent = spent(|| assert!(fixture.is_quiet_for(Duration::from_secs(5))));
        assert!(spent <= 2, "{spent} hundredths of a second");
    });
}

#[test]
fn session_that_is_over_costs_no_cpu() {
    alone("session_that_is_over_costs_no_cpu", || {
        let server = FakeServer::start();
        let (fixture, session) = Fixture::brief_at(&server);
        server.expire(session.0);
        fixture.suspended();
        fixture.lost();
        let spent = spent(|| assert!(fixture.is_quiet_for(Duration::from_secs(3))));
        assert!(spent <= 1, "{spent} hundredths of a second");
    });
}

#[test]
fn server_that_cuts_every_connection_costs_no_cpu() {
    alone("server_that_cuts_every_connection_costs_no_cpu", || {
        let server = FakeServer::start();
        server.put("/farm", b"");
        let (fixture, _) = Fixture::brief_at(&server);
        fixture.run(|client| client.watch_tree(&path("/farm"))).unwrap();
        for _ in 0..1000 {
            server.drop_before_apply(op::ADD_WATCH);
        }
        server.cut();
        fixture.suspended();
        let spent = spent(|| assert!(fixture.is_quiet_for(Duration::from_secs(4))));
        assert!(spent <= 4, "{spent} hundredths of a second");
        let attempts = server.connections_accepted();
        assert!(attempts < 20, "{attempts} attempts");
    });
}

/// What a server grants, or does to each session, costs neither CPU nor one connection after the
/// other.
#[track_caller]
fn costs_little(server: &FakeServer, what: &str) {
    let mut fixture = Fixture::open(&[&server.addr()]);
    let spent = spent(|| fixture.renew_for(Duration::from_secs(4)));
    let attempts = server.connections_accepted();
    assert!(spent <= 10, "{what}: {spent} hundredths of a second, {attempts} connections");
    assert!(attempts < 40, "{what}: {attempts} connections");
}

#[test]
fn odd_session_timeouts_cost_no_cpu() {
    alone("odd_session_timeouts_cost_no_cpu", || {
        let server = |granted_ms: u64| {
            let always = Some(Duration::from_millis(granted_ms));
            FakeServer::start_with(Timeouts { always, ..Timeouts::default() })
        };
        // It says so, and keeps the session.
        let lying = server(1);
        lying.hold_expiry();
        costs_little(&lying, "a millisecond that is none");
        assert_eq!(lying.connections_accepted(), 1);
        costs_little(&server(1), "a millisecond");
        costs_little(&server(0), "nothing");
    });
}

#[test]
fn answers_that_are_garbled_each_time_cost_no_cpu() {
    alone("answers_that_are_garbled_each_time_cost_no_cpu", || {
        let server = FakeServer::start();
        let (mut fixture, _) = Fixture::at(&server);
        for _ in 0..1000 {
            server.answer_with_body(op::GET_CHILDREN, &(-1_i32).to_be_bytes());
        }
        let spent = spent(|| {
            let listed = fixture.session.call(Duration::from_secs(4), |client| {
                client.children(&path("/"), farm_core::session::Watch::No)
            });
            assert!(listed.is_err(), "{listed:?}");
        });
        let attempts = server.connections_accepted();
        assert!(spent <= 10 && attempts < 20, "{spent} hundredths of a second, {attempts}");
    });
}

#[test]
fn sessions_leave_neither_threads_nor_descriptors() {
    alone("sessions_leave_neither_threads_nor_descriptors", || {
        let server = FakeServer::start();
        let turn = |fixture: &mut Fixture| {
            let session = fixture.connected_anew();
            server.expire(session.0);
            fixture.suspended();
            fixture.lost();
            fixture.session.renew(Instant::now());
        };
        // Anything that is created once and kept is created here.
        let mut fixture = Fixture::open(&[&server.addr()]);
        turn(&mut fixture);
        fixture.connected_anew();
        fixture.session.close();
        let settled = || {
            assert!(server.wait_for(Duration::from_secs(5), |view| view.connections() == 0));
            (threads(), descriptors())
        };
        let (threads_before, descriptors_before) = settled();
        for round in 0..10 {
            let mut fixture = Fixture::open(&[&server.addr()]);
            turn(&mut fixture);
            turn(&mut fixture);
            fixture.connected_anew();
            if round % 2 == 0 {
                fixture.session.close();
            }
        }
        // The library's threads end shortly after their client.
        eventually("no more threads and descriptors than before", || {
            let (threads, descriptors) = settled();
            if threads <= threads_before && descriptors <= descriptors_before {
                return Ok(());
            }
            Err(format!(
                "{threads} threads ({threads_before}), {descriptors} descriptors ({descriptors_before})"
            ))
        });
    });
}
