//! What a session costs. Each test runs its work in a process of its own, where
//! nobody else's threads, descriptors and time are counted.

use crate::guest::{Guest, path};
use farm_harness::{FakeServer, eventually, op};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// Set for the process of its own.
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
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "the test has another name: {told}");
}

/// User and system time of the threads of the session, in hundredths of a second: the
/// fake server's own thread shares the process.
fn cpu_hundredths() -> u64 {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let of_one = |stat: String| {
        // The name in parentheses may hold anything.
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
        let (guest, _) = Guest::at(&server);
        let spent = spent(|| assert!(guest.is_quiet_for(Duration::from_secs(5))));
        assert!(spent <= 1, "{spent} hundredths of a second");
        assert!(server.pings() >= 3);
    });
}

#[test]
fn refused_port_costs_no_cpu() {
    alone("refused_port_costs_no_cpu", || {
        let server = FakeServer::start();
        let (guest, _) = Guest::at(&server);
        server.refuse();
        server.cut();
        guest.suspended();
        let spent = spent(|| assert!(guest.is_quiet_for(Duration::from_secs(5))));
        assert!(spent <= 2, "{spent} hundredths of a second");
    });
}

#[test]
fn session_that_is_over_costs_no_cpu() {
    alone("session_that_is_over_costs_no_cpu", || {
        let server = FakeServer::start();
        let (guest, session) = Guest::at(&server);
        server.expire(session.0);
        guest.suspended();
        guest.lost();
        let spent = spent(|| assert!(guest.is_quiet_for(Duration::from_secs(3))));
        assert!(spent <= 1, "{spent} hundredths of a second");
    });
}

#[test]
fn server_that_cuts_whoever_comes_costs_no_cpu() {
    alone("server_that_cuts_whoever_comes_costs_no_cpu", || {
        let server = FakeServer::start();
        server.put("/farm", b"");
        let (guest, _) = Guest::at(&server);
        guest.run(|client| client.watch_tree(&path("/farm"))).unwrap();
        for _ in 0..1000 {
            server.drop_before_apply(op::ADD_WATCH);
        }
        server.cut();
        guest.suspended();
        let spent = spent(|| assert!(guest.is_quiet_for(Duration::from_secs(4))));
        assert!(spent <= 4, "{spent} hundredths of a second");
        let attempts = server.connections_accepted();
        assert!(attempts < 20, "{attempts} attempts");
    });
}

#[test]
fn sessions_leave_neither_threads_nor_descriptors() {
    alone("sessions_leave_neither_threads_nor_descriptors", || {
        let server = FakeServer::start();
        let turn = |guest: &mut Guest| {
            let session = guest.connected_anew();
            server.expire(session.0);
            guest.suspended();
            guest.lost();
            guest.session.renew(Instant::now());
        };
        // Whatever is made once and kept is made here.
        let mut guest = Guest::open(&[&server.addr()]);
        turn(&mut guest);
        guest.connected_anew();
        guest.session.close();
        let settled = || {
            assert!(server.wait_for(Duration::from_secs(5), |view| view.connections() == 0));
            (threads(), descriptors())
        };
        let (threads_before, descriptors_before) = settled();
        for round in 0..10 {
            let mut guest = Guest::open(&[&server.addr()]);
            turn(&mut guest);
            turn(&mut guest);
            guest.connected_anew();
            if round % 2 == 0 {
                guest.session.close();
            }
        }
        // The library's own threads end a moment after their client.
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
