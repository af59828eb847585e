//! How long a session is sure to live.

use crate::fixture::Fixture;
use farm_core::session::{Event, SESSION_TIMEOUT_LEAST};
use farm_harness::{FakeServer, eventually, holds_for, patience};
use std::time::{Duration, Instant};

#[test]
fn lease_of_an_idle_session_stays_young() {
    // Pings go out at every third of the timeout; on a busy machine later, but not at every half.
    const TIMEOUT: Duration = Duration::from_secs(10);
    let server = FakeServer::start();
    let (fixture, _) = Fixture::lasting(&server, TIMEOUT);
    let lease = fixture.session.lease();
    let most = TIMEOUT / 3 + patience(Duration::from_millis(1500));
    holds_for(TIMEOUT * 5 / 4, "a young lease", || {
        let age = lease.age();
        if lease.is_valid() && age < most { Ok(()) } else { Err(format!("{age:?}")) }
    });
    assert!(fixture.states().is_empty());
}

#[test]
fn lease_from_a_silent_server_ends_without_an_event() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    let (fixture, _) = Fixture::brief_at(&server);
    let lease = fixture.session.lease();
    fixture.get("/farm").unwrap();
    // As without a quorum: the session lives on, and its end is never reported.
    server.hold_expiry();
    server.stall();
    let start = Instant::now();
    let (age, left) = (lease.age(), lease.left());
    assert!(lease.is_valid() && age + left <= SESSION_TIMEOUT_LEAST, "{age:?} {left:?}");
    assert!(fixture.get("/farm").is_err());
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
    assert!(!fixture.states().iter().any(|event| matches!(event, Event::Lost)));
    server.unstall();
    eventually("contact again", || if lease.is_valid() { Ok(()) } else { Err("not valid") });
}

#[test]
fn lease_ends_with_its_session_and_the_next_one_has_its_own() {
    let server = FakeServer::start();
    let (mut fixture, session) = Fixture::brief_at(&server);
    let lease = fixture.session.lease();
    assert!(lease.is_valid());
    server.expire(session.0);
    fixture.suspended();
    fixture.lost();
    assert!(!lease.is_valid());
    fixture.session.renew(Instant::now());
    fixture.connected_anew();
    assert!(fixture.session.lease().is_valid());
    assert!(!lease.is_valid());
}

#[test]
fn lease_is_over_before_its_session_is_closed() {
    let server = FakeServer::start();
    let (fixture, _) = Fixture::brief_at(&server);
    let lease = fixture.session.lease();
    server.stall();
    assert!(lease.is_valid());
    fixture.session.close();
    assert!(!lease.is_valid());
}
