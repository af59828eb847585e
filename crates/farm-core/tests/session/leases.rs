//! For how long a session surely lives, as its holder sees it.

use crate::guest::Guest;
use farm_core::session::{Event, SESSION_TIMEOUT_LEAST};
use farm_harness::{FakeServer, eventually, patience, steadily};
use std::time::{Duration, Instant};

#[test]
fn lease_of_an_idle_session_stays_young() {
    let server = FakeServer::start();
    let (guest, _) = Guest::at(&server);
    let lease = guest.session.lease();
    // Pings go out at every third of the timeout; on a busy machine a bit later.
    let most = SESSION_TIMEOUT_LEAST / 3 + patience(Duration::from_millis(600));
    steadily(SESSION_TIMEOUT_LEAST * 5 / 4, "a young lease", || {
        let age = lease.age();
        if lease.is_valid() && age < most { Ok(()) } else { Err(format!("{age:?}")) }
    });
    assert!(guest.states_told().is_empty());
}

#[test]
fn lease_of_a_mute_server_ends_although_nobody_tells() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    let (guest, _) = Guest::at(&server);
    let lease = guest.session.lease();
    guest.get("/farm").unwrap();
    // As without a quorum: the session lives on, and no end of it will ever be told.
    server.hold_expiry();
    server.stall();
    let start = Instant::now();
    let (age, left) = (lease.age(), lease.left());
    assert!(lease.is_valid() && age + left <= SESSION_TIMEOUT_LEAST, "{age:?} {left:?}");
    assert!(guest.get("/farm").is_err());
    eventually("the lease is over", || {
        if lease.is_valid() { Err(lease.age().as_millis()) } else { Ok(()) }
    });
    let took = start.elapsed();
    assert!(took + Duration::from_millis(1) >= left, "over after {took:?} with {left:?} left");
    assert!(
        took <= left + patience(Duration::from_secs(1)),
        "over after {took:?} with {left:?} left"
    );
    assert!(lease.age() >= SESSION_TIMEOUT_LEAST);
    assert!(!guest.states_told().iter().any(|event| matches!(event, Event::Lost)));
    server.unstall();
    eventually("contact again", || if lease.is_valid() { Ok(()) } else { Err("not valid") });
}

#[test]
fn lease_ends_with_its_session_and_the_next_one_has_its_own() {
    let server = FakeServer::start();
    let (mut guest, session) = Guest::at(&server);
    let lease = guest.session.lease();
    assert!(lease.is_valid());
    server.expire(session.0);
    guest.suspended();
    guest.lost();
    assert!(!lease.is_valid());
    guest.session.renew(Instant::now());
    guest.connected_anew();
    assert!(guest.session.lease().is_valid());
    assert!(!lease.is_valid());
}

#[test]
fn lease_is_over_before_its_session_is_closed() {
    let server = FakeServer::start();
    let (guest, _) = Guest::at(&server);
    let lease = guest.session.lease();
    server.stall();
    assert!(lease.is_valid());
    guest.session.close();
    assert!(!lease.is_valid());
}
