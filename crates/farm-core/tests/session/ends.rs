//! How sessions end, and what stays.

use crate::guest::{Guest, PATIENCE, at_one_of_two, path, timed};
use farm_core::session::{Change, CreateMode, Event, SessionError, Watch};
use farm_harness::{FakeEnsemble, FakeServer, FaultProxy, op, patience};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What the end of a session may take, with air for a busy machine.
const AT_ONCE: Duration = Duration::from_millis(900);

fn with_own_node(server: &FakeServer) -> Guest {
    let (guest, _) = Guest::at(server);
    guest.run(|client| client.create(&path("/own"), b"", CreateMode::Ephemeral)).unwrap();
    guest
}

#[test]
fn expiry_is_told_once_and_a_new_session_follows_renew() {
    let server = FakeServer::start();
    let (mut guest, old) = Guest::at(&server);
    guest.run(|client| client.watch_tree(&path("/"))).unwrap();
    assert!(server.expire(old.0));
    guest.suspended();
    guest.lost();
    assert!(matches!(guest.get("/"), Err(SessionError::Expired)));
    server.put("/a", b"");
    assert!(guest.is_quiet_for(Duration::from_millis(500)));
    assert!(server.sessions().is_empty());
    guest.session.renew(Instant::now());
    let new = guest.connected_anew();
    assert_ne!(new, old);
    guest.get("/").unwrap();
    assert!(guest.states_told().is_empty());
}

#[test]
fn close_ends_the_session_at_once() {
    let server = FakeServer::start();
    let guest = with_own_node(&server);
    let ((), took) = timed(|| guest.session.close());
    assert_eq!(server.get("/own"), None);
    assert!(server.sessions().is_empty());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn closed_while_disconnected_leaves_no_zombie() {
    let server = FakeServer::start();
    let guest = with_own_node(&server);
    server.refuse();
    server.cut();
    guest.suspended();
    let ((), took) = timed(|| guest.session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
    server.accept();
    assert!(server.wait_for(PATIENCE, |view| view.get("/own").is_none()));
    assert_eq!(server.connections_accepted(), 1);
}

#[test]
fn closed_after_an_outage_ends_the_session_at_a_server_that_is_back() {
    let server = FakeServer::start();
    let guest = with_own_node(&server);
    server.hold_expiry();
    server.refuse();
    server.cut();
    guest.suspended();
    // Long enough for the next attempt to be far away.
    assert!(guest.is_quiet_for(Duration::from_secs(4)));
    server.accept();
    guest.session.close();
    assert!(server.sessions().is_empty());
    assert_eq!(server.get("/own"), None);
}

#[test]
fn close_does_not_wait_for_a_server_that_hangs() {
    let server = FakeServer::start();
    let guest = with_own_node(&server);
    server.stall();
    let read = guest.start(|client| client.get(&path("/own"), Watch::No));
    let watch = guest.start(|client| client.watch_tree(&path("/own")));
    assert!(server.wait_for(PATIENCE, |view| {
        view.count(op::GET_DATA) == 1 && view.count(op::ADD_WATCH) == 1
    }));
    let ((), took) = timed(|| guest.session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
    assert!(matches!(read.recv().unwrap(), Err(SessionError::Disconnected)));
    assert!(matches!(watch.recv().unwrap(), Err(SessionError::Disconnected)));
}

#[test]
fn closed_at_a_server_that_hangs_the_session_ends_at_another_one() {
    let ensemble = FakeEnsemble::start();
    let (guest, _, mute, other) = at_one_of_two(&ensemble);
    guest.run(|client| client.create(&path("/own"), b"", CreateMode::Ephemeral)).unwrap();
    mute.stall();
    let ((), took) = timed(|| guest.session.close());
    assert_eq!(other.get("/own"), None);
    assert!(other.sessions().is_empty());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn close_before_any_contact_is_done_at_once() {
    let server = FakeServer::start();
    server.refuse();
    let (never, took) = timed(|| Guest::open(&[&server.addr()]).session.close());
    assert!(took < patience(AT_ONCE), "{took:?}, {never:?}");
    server.accept();
    server.stall();
    let guest = Guest::open(&[&server.addr()]);
    assert!(server.wait_for(PATIENCE, |view| view.connections() == 1));
    let ((), took) = timed(|| guest.session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn session_is_dropped_without_a_hang_in_every_state() {
    let server = FakeServer::start();
    server.refuse();
    drop(Guest::open(&[&server.addr()]));
    server.accept();
    drop(Guest::open(&[&server.addr()]));
    let (guest, _) = Guest::at(&server);
    server.refuse();
    server.cut();
    guest.suspended();
    drop(guest);
    server.accept();
    let (guest, session) = Guest::at(&server);
    server.expire(session.0);
    guest.suspended();
    guest.lost();
    drop(guest);
    let (guest, _) = Guest::at(&server);
    server.stall();
    let blocked = guest.start(|client| client.get(&path("/"), Watch::No));
    assert!(server.wait_for(PATIENCE, |view| view.count(op::GET_DATA) == 1));
    let ((), took) = timed(|| drop(guest));
    // The courier waits for as long as a server may owe an answer.
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
    let mut guest = Guest::open(&[&full.addr(), &empty.addr()]);
    guest.connected_anew();
    guest.get("/a").unwrap();
    full.refuse();
    full.cut();
    empty.accept();
    guest.suspended();
    guest.lost();
    guest.session.renew(Instant::now());
    guest.connected_anew();
    assert!(matches!(guest.get("/a"), Err(SessionError::NoNode(_))));
}

#[test]
fn server_that_calls_a_session_unknown_is_not_taken_at_its_word() {
    let server = FakeServer::start();
    server.put("/a", b"");
    let (guest, session) = Guest::at(&server);
    for code in [-112, -118] {
        server.answer_with(op::GET_DATA, code);
        let read = guest.get("/a");
        assert!(matches!(read, Err(SessionError::Disconnected)), "{read:?}");
        guest.suspended();
        assert_eq!(guest.connected_again(), session);
    }
}

#[test]
fn expiry_behind_the_wire_is_noticed() {
    let server = FakeServer::start();
    let proxy = FaultProxy::start(server.addr());
    let guest = Guest::open(&[&proxy.addr()]);
    guest.connected_anew();
    proxy.expire().unwrap();
    guest.suspended();
    guest.lost();
}

#[test]
fn a_job_that_panics_ends_the_session_and_shows_where_it_is_owned() {
    let server = FakeServer::start();
    let (mut guest, _) = Guest::at(&server);
    let job = guest.start(|_| panic!("a bug in a job"));
    assert!(job.recv_timeout(PATIENCE).is_err());
    guest.lost();
    let renewed = catch_unwind(AssertUnwindSafe(|| guest.session.renew(Instant::now())));
    assert_eq!(renewed.unwrap_err().downcast_ref(), Some(&"a bug in a job"));
}

#[test]
fn a_panic_of_the_relay_ends_the_session_and_shows_where_it_is_owned() {
    use farm_core::session::Session;
    let server = FakeServer::start();
    server.put("/a", b"");
    let (sender, lost) = std::sync::mpsc::channel();
    let config = crate::guest::config(&[&server.addr()]);
    let notify = move |event| match event {
        Event::Hint(_) => panic!("a bug in a callback"),
        Event::Lost => drop(sender.send(())),
        _ => {}
    };
    let mut session = Session::open(config, notify).unwrap();
    let watched = session.call(PATIENCE, |client| client.watch_tree(&path("/a")));
    watched.unwrap();
    server.put("/a", b"1");
    lost.recv_timeout(PATIENCE).unwrap();
    let renewed = catch_unwind(AssertUnwindSafe(|| session.renew(Instant::now())));
    assert_eq!(renewed.unwrap_err().downcast_ref(), Some(&"a bug in a callback"));
    let ((), took) = timed(|| session.close());
    assert!(took < patience(AT_ONCE), "{took:?}");
}

#[test]
fn hints_of_a_session_do_not_follow_its_end() {
    let server = FakeServer::start();
    let (mut guest, session) = Guest::at(&server);
    guest.run(|client| client.watch_tree(&path("/"))).unwrap();
    server.put("/a", b"");
    assert_eq!(guest.hint(), ("/a".to_owned(), Change::Created));
    server.expire(session.0);
    server.put("/a", b"1");
    guest.suspended();
    guest.lost();
    guest.session.renew(Instant::now());
    guest.connected_anew();
    server.put("/a", b"2");
    assert!(guest.is_quiet_for(Duration::from_millis(100)));
}
