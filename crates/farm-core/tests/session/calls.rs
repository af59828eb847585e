//! One operation and a deadline, as command line tools work.

use crate::fixture::{Fixture, WAIT_MAX, options, path, timed};
use farm_core::session::{SessionError, Watch};
use farm_harness::{FakeServer, free_port, op, patience};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[test]
fn call_repeats_a_read_over_cuts() {
    let server = FakeServer::start();
    server.put("/a", b"1");
    let mut fixture = Fixture::open(&[&server.addr()]);
    server.drop_before_apply(op::GET_DATA);
    server.drop_before_apply(op::GET_DATA);
    let read = fixture.session.call(WAIT_MAX, |client| client.get(&path("/a"), Watch::No));
    assert_eq!(read.unwrap().data, b"1");
    assert_eq!(server.connections_accepted(), 3);
}

#[test]
fn call_goes_on_in_a_new_session_after_an_expiry() {
    let server = FakeServer::start();
    server.put("/a", b"1");
    let (mut fixture, session) = Fixture::at(&server);
    server.before_reply(op::GET_DATA, move |server| assert!(server.expire(session.0)));
    let read = fixture.session.call(WAIT_MAX, |client| {
        client.get(&path("/a"), Watch::No).map(|znode| (znode.data, client.session()))
    });
    let (data, now) = read.unwrap();
    assert_eq!(data, b"1");
    assert_ne!(now, Some(session));
}

#[test]
fn call_ends_in_time_without_a_server() {
    let mut fixture = Fixture::open(&[&format!("127.0.0.1:{}", free_port())]);
    let wait = Duration::from_millis(500);
    let (outcome, took) =
        timed(|| fixture.session.call(wait, |client| client.get(&path("/a"), Watch::No)));
    let Err(SessionError::Unreachable { last_error: Some(_), .. }) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(took >= wait && took < patience(wait * 3), "{took:?}");
}

#[test]
fn call_ends_early_when_the_session_has_given_up() {
    let mut options = options(&[&format!("127.0.0.1:{}", free_port())]);
    options.rounds_max = Some(2);
    let mut fixture = Fixture::open_with(options);
    let (outcome, took) =
        timed(|| fixture.session.call(WAIT_MAX, |client| client.get(&path("/a"), Watch::No)));
    assert!(matches!(outcome, Err(SessionError::Unreachable { .. })), "{outcome:?}");
    assert!(took < WAIT_MAX / 2, "{took:?}");
}

#[test]
fn call_ends_in_time_when_the_server_falls_silent() {
    let server = FakeServer::start();
    let (mut fixture, _) = Fixture::brief_at(&server);
    server.stall();
    let wait = Duration::from_millis(1800);
    let (outcome, took) =
        timed(|| fixture.session.call(wait, |client| client.get(&path("/"), Watch::No)));
    assert!(matches!(outcome, Err(SessionError::Overdue(_))), "{outcome:?}");
    assert!(took >= wait && took < wait + patience(Duration::from_secs(1)), "{took:?}");
}

#[test]
fn call_does_not_repeat_what_was_answered() {
    let server = FakeServer::start();
    let mut fixture = Fixture::open(&[&server.addr()]);
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let outcome = fixture.session.call(WAIT_MAX, move |client| {
        counter.fetch_add(1, Ordering::Relaxed);
        client.get(&path("/missing"), Watch::No)
    });
    assert!(matches!(outcome, Err(SessionError::NoNode(_))), "{outcome:?}");
    assert_eq!(count.load(Ordering::Relaxed), 1);
}

#[test]
fn call_panics_when_its_operation_does() {
    let server = FakeServer::start();
    let mut fixture = Fixture::open(&[&server.addr()]);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        fixture.session.call::<()>(WAIT_MAX, |_| panic!("a bug in an operation"))
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"a bug in an operation"));
}

#[test]
fn call_takes_any_timeout() {
    let server = FakeServer::start();
    let mut fixture = Fixture::open(&[&server.addr()]);
    fixture.session.call(Duration::MAX, |client| client.get(&path("/"), Watch::No)).unwrap();
}

#[test]
fn the_leader_tells_what_exists_and_changes_nothing() {
    let server = FakeServer::start();
    server.put("/a/b", b"1");
    server.put("/locked/c", b"");
    server.lock("/locked", "digest", b"farmer:secret");
    let mut fixture = Fixture::open(&[&server.addr()]);
    for (name, exists) in
        [("/a", true), ("/a/b", true), ("/locked/c", true), ("/d", false), ("/d/e", false)]
    {
        let told =
            fixture.session.call(WAIT_MAX, move |client| client.exists_at_leader(&path(name)));
        assert_eq!(told.unwrap(), exists, "{name}");
    }
    assert_eq!(
        (server.children("/a"), server.children("/locked")),
        (vec!["b".to_owned()], vec!["c".to_owned()],)
    );
    // It is a write, which no server answers by itself.
    let asked = server.requests().into_iter().filter(|request| request.opcode == op::DELETE);
    assert_eq!(asked.count(), 5);
}
