//! How sessions end.

use crate::fixture::{Fixture, WAIT_MAX, at_one_of_two, path, timed};
use farm_core::session::{Change, CreateMode, Event, SessionError, Watch};
use farm_harness::{FakeEnsemble, FakeServer, FaultProxy, op, patience};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// How long the end of a session may take, with a margin for a busy machine.
const AT_ONCE: Duration = Duration::from_millis(900);

fn with_own_node(server: &FakeServer) -> Fixture {
    let (fixture, _) = Fixture::brief_at(server);
    fixture.run(|client| client.create(&path("/own"), b"", CreateMode::Ephemeral)).unwrap();
    fixture
}

#[test]
fn expiry_is_reported_once_and_a_new_session_follows_renew() {
    let server = FakeServer::start();
    let (mut fixture, old) = Fixture::brief_at(&server);
    fixture.run(|client| client.watch_tree(&path("/"))).unwrap();
    assert!(server.expire(old.0));
    fixture.suspended();
    fixture.lost();
    assert!(matches!(fixture.get("/"), Err(SessionError::Expired)));
    server.put("/a", b"");
    assert!(fixture.is_quiet_for(Duration::from_millis(500)));
    assert!(server.sessions().is_empty());
    fixture.session.renew(Instant::now());
    let new = fixture.connected_anew();
    assert_ne!(new, old);
    fixture.get("/").unwrap();
    assert!(fixture.states().is_empty());
}

#[test]
fn close_ends_the_session_at_once() {
    let server = FakeServer::start();
    let fixture = with_own_node(&server);
    let ((), took) = timed(|| fixture.session.close());
    assert_eq!(server.get("/own"), None);
    assert!(server.sessions().is_empty());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn closed_while_disconnected_leaves_no_zombie() {
    let server = FakeServer::start();
    let fixture = with_own_node(&server);
    server.refuse();
    server.cut();
    fixture.suspended();
    let ((), took) = timed(|| fixture.session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
    server.accept();
    assert!(server.wait_for(WAIT_MAX, |view| view.get("/own").is_none()));
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn closed_after_an_outage_ends_the_session_at_a_server_that_is_back() {
    let server = FakeServer::start();
    let fixture = with_own_node(&server);
    server.hold_expiry();
    server.refuse();
    server.cut();
    fixture.suspended();
    // Long enough for a long back-off.
    assert!(fixture.is_quiet_for(Duration::from_secs(4)));
    server.accept();
    fixture.session.close();
    assert!(server.sessions().is_empty());
    assert_eq!(server.get("/own"), None);
}

#[test]
fn close_does_not_wait_for_a_server_that_hangs() {
    let server = FakeServer::start();
    let fixture = with_own_node(&server);
    server.stall();
    let read = fixture.start(|client| client.get(&path("/own"), Watch::No));
    let watch = fixture.start(|client| client.watch_tree(&path("/own")));
    assert!(server.wait_for(WAIT_MAX, |view| {
        view.count(op::GET_DATA) == 1 && view.count(op::ADD_WATCH) == 1
    }));
    let ((), took) = timed(|| fixture.session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
    assert!(matches!(read.recv().unwrap(), Err(SessionError::Disconnected)));
    assert!(matches!(watch.recv().unwrap(), Err(SessionError::Disconnected)));
}

#[test]
fn closed_at_a_server_that_hangs_the_session_ends_at_another_one() {
    let ensemble = FakeEnsemble::start();
    let (fixture, _, silent, other) = at_one_of_two(&ensemble);
    fixture.run(|client| client.create(&path("/own"), b"", CreateMode::Ephemeral)).unwrap();
    silent.stall();
    let ((), took) = timed(|| fixture.session.close());
    assert_eq!(other.get("/own"), None);
    assert!(other.sessions().is_empty());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn close_before_any_contact_is_done_at_once() {
    let server = FakeServer::start();
    server.refuse();
    let (never, took) = timed(|| Fixture::open(&[&server.addr()]).session.close());
    assert!(took < patience(AT_ONCE), "{took:?}, {never:?}");
    server.accept();
    server.stall();
    let fixture = Fixture::open(&[&server.addr()]);
    assert!(server.wait_for(WAIT_MAX, |view| view.connections() == 1));
    let ((), took) = timed(|| fixture.session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn session_is_dropped_without_a_hang_in_every_state() {
    let server = FakeServer::start();
    server.refuse();
    drop(Fixture::open(&[&server.addr()]));
    server.accept();
    drop(Fixture::open(&[&server.addr()]));
    let (fixture, _) = Fixture::brief_at(&server);
    server.refuse();
    server.cut();
    fixture.suspended();
    drop(fixture);
    server.accept();
    let (fixture, session) = Fixture::brief_at(&server);
    server.expire(session.0);
    fixture.suspended();
    fixture.lost();
    drop(fixture);
    let (fixture, _) = Fixture::brief_at(&server);
    server.stall();
    let blocked = fixture.start(|client| client.get(&path("/"), Watch::No));
    assert!(server.wait_for(WAIT_MAX, |view| view.count(op::GET_DATA) == 1));
    let ((), took) = timed(|| drop(fixture));
    // The request thread waits as long as an answer may take.
    assert!(took < patience(Duration::from_secs(3)), "{took:?}");
    assert!(blocked.recv().unwrap().is_err());
}

#[test]
fn ensemble_that_lost_its_data_ends_the_session_and_gets_a_new_one() {
    let (full, empty) = (FakeServer::start(), FakeServer::start());
    for round in 0..10 {
        full.put("/a", &[round]);
    }
    empty.refuse();
    let mut fixture = Fixture::open(&[&full.addr(), &empty.addr()]);
    fixture.connected_anew();
    fixture.get("/a").unwrap();
    full.refuse();
    full.cut();
    empty.accept();
    fixture.suspended();
    fixture.lost();
    fixture.session.renew(Instant::now());
    fixture.connected_anew();
    assert!(matches!(fixture.get("/a"), Err(SessionError::NoNode(_))));
}

#[test]
fn answer_that_a_session_is_unknown_does_not_end_it() {
    let server = FakeServer::start();
    server.put("/a", b"");
    let (fixture, session) = Fixture::brief_at(&server);
    for code in [-112, -118] {
        server.answer_with(op::GET_DATA, code);
        let read = fixture.get("/a");
        assert!(matches!(read, Err(SessionError::Disconnected)), "{read:?}");
        fixture.suspended();
        assert_eq!(fixture.connected_again(), session);
    }
}

#[test]
fn expiry_behind_a_proxy_is_noticed() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let fixture = Fixture::open(&[&proxy.addr()]);
    fixture.connected_anew();
    proxy.expire().unwrap();
    fixture.suspended();
    fixture.lost();
}

#[test]
fn a_panic_of_a_job_ends_the_session_and_continues_on_its_owner() {
    let server = FakeServer::start();
    let (mut fixture, _) = Fixture::brief_at(&server);
    let job = fixture.start(|_| panic!("a bug in a job"));
    assert!(job.recv_timeout(WAIT_MAX).is_err());
    fixture.lost();
    let renewed = catch_unwind(AssertUnwindSafe(|| fixture.session.renew(Instant::now())));
    assert_eq!(renewed.unwrap_err().downcast_ref(), Some(&"a bug in a job"));
}

#[test]
fn a_panic_of_the_relay_ends_the_session_and_continues_on_its_owner() {
    use farm_core::session::Session;
    let server = FakeServer::start();
    server.put("/a", b"");
    let (sender, lost) = std::sync::mpsc::channel();
    let options = crate::fixture::options(&[&server.addr()]);
    let notify = move |event| match event {
        Event::Hint(_) => panic!("a bug in a callback"),
        Event::Lost => drop(sender.send(())),
        _ => {}
    };
    let mut session = Session::open(options, notify);
    let watched = session.call(WAIT_MAX, |client| client.watch_tree(&path("/a")));
    watched.unwrap();
    server.put("/a", b"1");
    lost.recv_timeout(WAIT_MAX).unwrap();
    let renewed = catch_unwind(AssertUnwindSafe(|| session.renew(Instant::now())));
    assert_eq!(renewed.unwrap_err().downcast_ref(), Some(&"a bug in a callback"));
    let ((), took) = timed(|| session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn hints_of_a_session_do_not_follow_its_end() {
    let server = FakeServer::start();
    let (mut fixture, session) = Fixture::brief_at(&server);
    fixture.run(|client| client.watch_tree(&path("/"))).unwrap();
    server.put("/a", b"");
    assert_eq!(fixture.hint(), ("/a".to_owned(), Change::Created));
    server.expire(session.0);
    server.put("/a", b"1");
    fixture.suspended();
    fixture.lost();
    fixture.session.renew(Instant::now());
    fixture.connected_anew();
    server.put("/a", b"2");
    assert!(fixture.is_quiet_for(Duration::from_millis(100)));
}
