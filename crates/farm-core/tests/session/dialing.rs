//! Finding a server.

use crate::fixture::{Fixture, WAIT_MAX, options, timed};
use farm_harness::{FakeEnsemble, FakeServer, FaultProxy, free_port, patience};
use std::time::Duration;

/// Resolvers refuse it without asking a name server.
const BAD_NAME: &str = "not..a.name:2181";

fn all_connected(fixtures: &[Fixture]) {
    for fixture in fixtures {
        fixture.connected_anew();
    }
}

#[test]
fn second_server_is_tried_when_the_first_hangs() {
    let ensemble = FakeEnsemble::start();
    let (hung, healthy) = (ensemble.server(), ensemble.server());
    hung.stall();
    // The order is random: at least one of these tries the hung server first.
    let fixtures: Vec<Fixture> =
        (0..12).map(|_| Fixture::open(&[&hung.addr(), &healthy.addr()])).collect();
    let ((), took) = timed(|| all_connected(&fixtures));
    assert!(took < patience(Duration::from_secs(4)), "{took:?}");
    assert!(hung.connections_accepted() > 0);
    assert_eq!(healthy.connections(), fixtures.len());
}

#[test]
fn one_bad_name_does_not_delay_the_others() {
    let server = FakeServer::start();
    let fixture = Fixture::open(&[&BAD_NAME, &"[::1]:1", &server.addr()]);
    let (_, took) = timed(|| fixture.connected_anew());
    assert!(took < patience(Duration::from_secs(1)), "{took:?}");
}

#[test]
fn servers_share_the_load() {
    let ensemble = FakeEnsemble::start();
    let (first, second) = (ensemble.server(), ensemble.server());
    let fixtures: Vec<Fixture> =
        (0..20).map(|_| Fixture::open(&[&first.addr(), &second.addr()])).collect();
    all_connected(&fixtures);
    assert!(first.connections() > 0 && second.connections() > 0, "{first:?} {second:?}");
}

#[test]
fn gives_up_after_the_rounds_it_was_allowed_and_says_why() {
    let port = free_port();
    let mut options = options(&[&format!("127.0.0.1:{port}")]);
    options.rounds_max = Some(3);
    let fixture = Fixture::open_with(options);
    let error = fixture.gave_up().expect("there is a reason").to_string();
    assert!(error.contains(&port.to_string()) && error.contains("refused"), "{error}");
}

#[test]
fn name_that_cannot_be_resolved_is_reported() {
    let mut options = options(&[&BAD_NAME]);
    options.rounds_max = Some(1);
    let error = Fixture::open_with(options).gave_up().expect("there is a reason").to_string();
    assert!(error.starts_with("not..a.name:2181: cannot resolve its name"), "{error}");
}

#[test]
fn port_that_accepts_connections_and_drops_them_is_tried_with_back_off() {
    let proxy = FaultProxy::start(([127, 0, 0, 1], free_port()).into());
    let fixture = Fixture::open(&[&proxy.addr()]);
    assert!(proxy.wait_for(WAIT_MAX, |counts| counts.connections >= 3));
    assert!(fixture.is_quiet_for(Duration::from_secs(2)));
    let attempts = proxy.counts().connections;
    assert!(attempts <= 12, "{attempts} attempts");
}

#[test]
fn black_hole_is_left_for_a_server_that_answers() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let fixture = Fixture::open(&[&proxy.addr(), &server.addr()]);
    let session = fixture.connected_anew();
    if server.connections() == 1 && proxy.counts().open == 0 {
        // The direct way was tried first; `black_hole_at_first` tests the other one.
        return black_hole_at_first();
    }
    proxy.stall();
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
}

fn black_hole_at_first() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    proxy.stall();
    let fixtures: Vec<Fixture> =
        (0..8).map(|_| Fixture::open(&[&proxy.addr(), &server.addr()])).collect();
    all_connected(&fixtures);
}

#[test]
fn connection_that_is_reset_is_made_anew() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let fixture = Fixture::open(&[&proxy.addr()]);
    let session = fixture.connected_anew();
    proxy.reset();
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
}
