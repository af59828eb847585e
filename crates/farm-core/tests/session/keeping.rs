//! What a session survives.

use crate::fixture::{Fixture, Stop, WAIT_MAX, at_one_of_two, at_one_of_two_lasting, path, timed};
use farm_core::session::{Client, CreateMode, SESSION_TIMEOUT_LEAST, SessionError, Watch};
use farm_harness::{FakeEnsemble, FakeServer, eventually, holds_for, op, patience};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn create_own(client: &Client) -> Result<(), SessionError> {
    client.create(&path("/own"), b"", CreateMode::Ephemeral)
}

#[test]
fn event_storm_does_not_starve_pings() {
    let server = FakeServer::start();
    server.put("/storm", b"");
    let (fixture, session) = Fixture::brief_at(&server);
    fixture.run(|client| client.watch_tree(&path("/storm"))).unwrap();
    let mut count = 0_u32;
    holds_for(SESSION_TIMEOUT_LEAST * 3 / 2, "the session lives", || {
        count += 1;
        server.put("/storm/x", &count.to_be_bytes());
        if server.sessions().iter().any(|seen| seen.id == session.0) { Ok(()) } else { Err("gone") }
    });
    assert!(server.pings() >= 3, "{} pings", server.pings());
    assert!(fixture.states().is_empty());
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn busy_session_survives_cut() {
    let server = FakeServer::start();
    server.put("/busy", b"");
    let (fixture, session) = Fixture::brief_at(&server);
    let stop = Stop::new();
    let is_done = stop.watch();
    // The connection is never idle long enough for a ping.
    let busy = fixture.start(move |client| {
        while !is_done() {
            drop(client.set(&path("/busy"), b"again", None));
        }
    });
    holds_for(SESSION_TIMEOUT_LEAST * 5 / 4, "one connection", || {
        match server.connections_accepted() {
            1 => Ok(()),
            more => Err(more),
        }
    });
    assert_eq!(server.pings(), 0);
    server.cut();
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
    drop(stop);
    busy.recv_timeout(WAIT_MAX).unwrap();
}

#[test]
fn many_cuts_cost_neither_the_session_nor_its_nodes() {
    let server = FakeServer::start();
    let (fixture, session) = Fixture::brief_at(&server);
    fixture.run(create_own).unwrap();
    for _ in 0..4 {
        server.cut();
        fixture.suspended();
        assert_eq!(fixture.connected_again(), session);
    }
    assert_eq!(server.owner("/own"), Some(session.0));
}

#[test]
fn session_outlives_an_outage_longer_than_its_timeout() {
    let server = FakeServer::start();
    let (fixture, session) = Fixture::brief_at(&server);
    fixture.run(create_own).unwrap();
    // As servers without a quorum do.
    server.hold_expiry();
    server.refuse();
    server.cut();
    fixture.suspended();
    assert!(fixture.is_quiet_for(SESSION_TIMEOUT_LEAST * 5 / 4));
    assert!(matches!(fixture.get("/own"), Err(SessionError::Disconnected)));
    server.accept();
    assert_eq!(fixture.connected_again(), session);
    server.resume_expiry();
    assert_eq!(fixture.get("/own").unwrap().stat.ephemeral_owner, session.0);
}

#[test]
fn session_is_resumed_in_time_however_often_it_was_cut() {
    let server = FakeServer::start();
    // A short-lived connection does not reset the back-off, which grows, but never so much
    // that the session expires.
    let (fixture, session) = Fixture::lasting(&server, Duration::from_secs(10));
    for _ in 0..8 {
        server.cut();
        fixture.suspended();
        assert_eq!(fixture.connected_again(), session);
    }
}

#[test]
fn silent_server_is_cut_within_two_thirds_of_the_timeout() {
    // It is noticed after half of the timeout, so a busy machine has two seconds more.
    const TIMEOUT: Duration = Duration::from_secs(12);
    let ensemble = FakeEnsemble::start();
    let (fixture, session, carrier, other) = at_one_of_two_lasting(&ensemble, TIMEOUT);
    fixture.run(create_own).unwrap();
    carrier.stall();
    let ((), noticed_after) = timed(|| fixture.suspended());
    assert!(noticed_after < patience(TIMEOUT * 2 / 3), "{noticed_after:?}");
    assert_eq!(fixture.connected_again(), session);
    assert_eq!(other.connections(), 1);
    assert_eq!(ensemble.owner("/own"), Some(session.0));
}

#[test]
fn answer_is_awaited_for_a_sixth_of_the_timeout_and_at_least_a_second() {
    let ensemble = FakeEnsemble::start();
    ensemble.put("/a", b"");
    let (fixture, session, carrier, _other) = at_one_of_two(&ensemble);
    carrier.stall();
    let (outcome, after) = timed(|| fixture.get("/a"));
    assert!(matches!(outcome, Err(SessionError::Disconnected)), "{outcome:?}");
    let limit = patience(Duration::from_millis(2500));
    assert!(after > Duration::from_millis(900) && after < limit, "{after:?}");
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
    assert!(fixture.get("/a").is_ok());
}

#[test]
fn server_with_a_slow_answer_in_time_is_kept() {
    let server = FakeServer::start();
    server.put("/a", b"slow");
    let (fixture, _) = Fixture::at(&server);
    server.delay(Duration::from_millis(600));
    for _ in 0..3 {
        assert_eq!(fixture.get("/a").unwrap().data, b"slow");
    }
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn write_cut_after_apply_reports_disconnected() {
    let server = FakeServer::start();
    server.put("/a", b"old");
    let (fixture, session) = Fixture::at(&server);
    server.before_reply(op::SET_DATA, FakeServer::cut);
    let outcome = fixture.run(|client| client.set(&path("/a"), b"new", Some(0)));
    assert!(matches!(outcome, Err(SessionError::Disconnected)), "{outcome:?}");
    assert_eq!(server.get("/a"), Some(b"new".to_vec()));
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
    assert_eq!(fixture.get("/a").unwrap().stat.version, 1);
}

#[test]
fn too_much_data_is_refused_here_and_affects_no_other_request() {
    let server = FakeServer::start();
    server.put("/a", b"");
    let (fixture, _) = Fixture::at(&server);
    let outcome = fixture.run(|client| client.set(&path("/a"), &vec![0; 1_000_001], None));
    assert!(matches!(outcome, Err(SessionError::TooLarge { bytes: 1_000_001, .. })), "{outcome:?}");
    fixture.run(|client| client.set(&path("/a"), &vec![7; 1_000_000], None)).unwrap();
    assert_eq!(fixture.get("/a").unwrap().data, vec![7; 1_000_000]);
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn replies_never_go_to_the_wrong_reader() {
    const READERS: usize = 8;
    let server = FakeServer::start();
    let own = |reader: usize| format!("/reader-{reader}");
    for reader in 0..READERS {
        server.put(&own(reader), own(reader).as_bytes());
    }
    let (fixture, session) = Fixture::at(&server);
    let stop = Stop::new();
    let right: Arc<[AtomicU32; READERS]> = Arc::default();
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (is_done, right) = (stop.watch(), Arc::clone(&right));
            fixture.start(move |client| {
                let own = path(&own(reader));
                while !is_done() {
                    if let Ok(znode) = client.get(&own, Watch::No) {
                        assert_eq!(znode.data, own.as_str().as_bytes());
                        right[reader].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let counts = || right.each_ref().map(|count| count.load(Ordering::Relaxed));
    for round in 0..12 {
        let before = counts();
        eventually("every reader has read", || {
            let now = counts();
            if before.iter().zip(&now).all(|(before, now)| before < now) {
                Ok(())
            } else {
                Err(format!("{before:?}, {now:?}"))
            }
        });
        match round % 4 {
            0 => server.cut(),
            1 => server.garble(farm_harness::Garble::SwapReplies),
            2 => server.garble(farm_harness::Garble::WrongXid),
            _ => server.garble(farm_harness::Garble::ReplyTooMany),
        }
        fixture.suspended();
        assert_eq!(fixture.connected_again(), session);
    }
    drop(stop);
    for reader in readers {
        reader.recv_timeout(WAIT_MAX).expect("no reader has met another's data");
    }
}
