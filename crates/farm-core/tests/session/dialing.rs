//! Finding a server.

use crate::guest::{Guest, PATIENCE, config, timed};
use farm_harness::{FakeEnsemble, FakeServer, FaultProxy, free_port, patience};
use std::time::Duration;

/// Resolvers refuse it without asking anybody.
const BAD_NAME: &str = "not..a.name:2181";

fn all_connected(guests: &[Guest]) {
    for guest in guests {
        guest.connected_anew();
    }
}

#[test]
fn second_server_is_tried_when_the_first_hangs() {
    let ensemble = FakeEnsemble::start();
    let (hung, well) = (ensemble.server(), ensemble.server());
    hung.stall();
    // Which one is tried first is left to chance; one of these meets the hung one.
    let guests: Vec<Guest> = (0..12).map(|_| Guest::open(&[&hung.addr(), &well.addr()])).collect();
    let ((), took) = timed(|| all_connected(&guests));
    assert!(took < patience(Duration::from_secs(4)), "{took:?}");
    assert!(hung.connections_accepted() > 0);
    assert_eq!(well.connections(), guests.len());
}

#[test]
fn one_bad_name_costs_the_others_nothing() {
    let server = FakeServer::start();
    let guest = Guest::open(&[&BAD_NAME, &"[::1]:1", &server.addr()]);
    let (_, took) = timed(|| guest.connected_anew());
    assert!(took < patience(Duration::from_secs(1)), "{took:?}");
}

#[test]
fn servers_share_the_load() {
    let ensemble = FakeEnsemble::start();
    let (first, second) = (ensemble.server(), ensemble.server());
    let guests: Vec<Guest> =
        (0..20).map(|_| Guest::open(&[&first.addr(), &second.addr()])).collect();
    all_connected(&guests);
    assert!(first.connections() > 0 && second.connections() > 0, "{first:?} {second:?}");
}

#[test]
fn gives_up_after_the_rounds_it_was_allowed_and_says_why() {
    let port = free_port();
    let mut config = config(&[&format!("127.0.0.1:{port}")]);
    config.rounds_max = Some(3);
    let guest = Guest::open_with(config);
    let trouble = guest.gave_up().expect("there is a reason").to_string();
    assert!(trouble.contains(&port.to_string()) && trouble.contains("refused"), "{trouble}");
}

#[test]
fn name_that_no_resolver_knows_is_told() {
    let mut config = config(&[&BAD_NAME]);
    config.rounds_max = Some(1);
    let trouble = Guest::open_with(config).gave_up().expect("there is a reason").to_string();
    assert!(trouble.starts_with("not..a.name:2181: cannot resolve its name"), "{trouble}");
}

#[test]
fn port_that_takes_connections_and_drops_them_is_tried_with_patience() {
    let nobody = FaultProxy::start(([127, 0, 0, 1], free_port()).into());
    let guest = Guest::open(&[&nobody.addr()]);
    assert!(nobody.wait_for(PATIENCE, |counts| counts.connections >= 3));
    assert!(guest.is_quiet_for(Duration::from_secs(2)));
    let attempts = nobody.counts().connections;
    assert!(attempts <= 12, "{attempts} attempts");
}

#[test]
fn black_hole_is_left_for_a_server_that_answers() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let guest = Guest::open(&[&proxy.addr(), &server.addr()]);
    let session = guest.connected_anew();
    if server.connections() == 1 && proxy.counts().open == 0 {
        // It came by the good way; the other one is the test of `black_hole_at_first`.
        return black_hole_at_first();
    }
    proxy.stall();
    guest.suspended();
    assert_eq!(guest.connected_again(), session);
}

fn black_hole_at_first() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    proxy.stall();
    let guests: Vec<Guest> =
        (0..8).map(|_| Guest::open(&[&proxy.addr(), &server.addr()])).collect();
    all_connected(&guests);
}

#[test]
fn connection_that_is_reset_is_made_anew() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let guest = Guest::open(&[&proxy.addr()]);
    let session = guest.connected_anew();
    proxy.reset();
    guest.suspended();
    assert_eq!(guest.connected_again(), session);
}
