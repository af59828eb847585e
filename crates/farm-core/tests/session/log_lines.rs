//! The log has one line for each change of state, and none for an attempt.

use crate::fixture::{Fixture, WAIT_MAX};
use farm_core::engine::log_text;
use farm_harness::{FakeServer, FaultProxy};
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// The lines of all tests of this process; the port tells which test a line belongs to.
static LINES: Lines = Lines(Mutex::new(Vec::new()));

struct Lines(Mutex<Vec<String>>);

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("farm_core")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(format!("{} {}", record.level(), log_text(record)));
        }
    }

    fn flush(&self) {}
}

fn capture_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LINES).unwrap();
        log::set_max_level(LevelFilter::Info);
    });
}

fn lines_about(server: impl ToString) -> Vec<String> {
    let server = server.to_string();
    let lines = LINES.0.lock().unwrap();
    lines.iter().filter(|line| line.contains(&server)).cloned().collect()
}

/// Level and first words of each line.
fn starts(lines: &[String]) -> Vec<&str> {
    lines.iter().map(|line| line.split([';', ',', ':']).next().unwrap_or_default()).collect()
}

#[test]
fn outage_is_three_lines() {
    capture_log();
    let server = FakeServer::start();
    let (fixture, _) = Fixture::at(&server);
    server.hold_expiry();
    server.refuse();
    server.cut();
    fixture.suspended();
    assert!(fixture.is_quiet_for(Duration::from_secs(2)));
    server.accept();
    fixture.connected_again();
    let lines = lines_about(server.addr());
    let expected = [
        "INFO connected",
        "WARN suspended",
        "WARN no server can be reached",
        "INFO connected again",
    ];
    assert_eq!(starts(&lines), expected, "{lines:#?}");
}

#[test]
fn port_that_accepts_connections_and_drops_them_is_one_line() {
    capture_log();
    let server = FakeServer::start();
    server.refuse();
    let proxy = FaultProxy::start(server.addr());
    let _fixture = Fixture::open(&[&proxy.addr()]);
    assert!(proxy.wait_for(WAIT_MAX, |counts| counts.connections >= 4));
    let lines = lines_about(proxy.addr());
    assert_eq!(starts(&lines), ["WARN no server can be reached"], "{lines:#?}");
    assert!(lines[0].contains("it closed the connection at once"), "{lines:#?}");
}

#[test]
fn a_chroot_is_named_when_connected() {
    capture_log();
    let server = FakeServer::start();
    let _plain = Fixture::at(&server);
    let fixture = Fixture::open(&[&format!("{}/prod", server.addr())]);
    let session = fixture.connected_anew();
    let lines = lines_about(server.addr());
    let start = format!("INFO connected; server={}", server.addr());
    assert!(lines[0].starts_with(&format!("{start} session=")), "{lines:#?}");
    assert!(
        lines[1].starts_with(&format!("{start} chroot=/prod session={session} ")),
        "{lines:#?}"
    );
}

#[test]
fn secrets_are_not_logged() {
    capture_log();
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let fixture = Fixture::open(&[&proxy.addr()]);
    fixture.connected_anew();
    let (_, password) = proxy.last_session().unwrap();
    let lines = LINES.0.lock().unwrap().join("\n");
    let hex: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!lines.contains(&hex) && !lines.contains(&format!("{password:?}")));
}
