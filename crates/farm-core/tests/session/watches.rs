//! Which hints come, which don't, and what watches survive.

use crate::fixture::{Fixture, at_one_of_two, options, path};
use farm_core::session::{Change, SessionError, Watch};
use farm_harness::{FakeEnsemble, FakeServer};
use std::time::Duration;

#[test]
fn persistent_watch_is_set_again_on_the_next_server() {
    let ensemble = FakeEnsemble::start();
    ensemble.put("/farm", b"");
    let (fixture, session, carrier, _other) = at_one_of_two(&ensemble);
    fixture.run(|client| client.watch_tree(&path("/farm"))).unwrap();
    carrier.refuse();
    carrier.cut();
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
    ensemble.put("/farm/a", b"");
    assert_eq!(fixture.hint(), ("/farm/a".to_owned(), Change::Created));
    ensemble.put("/farm/a", b"1");
    assert_eq!(fixture.hint(), ("/farm/a".to_owned(), Change::Data));
    ensemble.delete("/farm/a");
    assert_eq!(fixture.hint(), ("/farm/a".to_owned(), Change::Deleted));
}

#[test]
fn old_server_refuses_the_tree_watch_and_the_session_lives_on() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    server.old_version();
    let (fixture, session) = Fixture::at(&server);
    let watched = fixture.run(|client| client.watch_tree(&path("/farm")));
    assert!(matches!(watched, Err(SessionError::Unsupported)), "{watched:?}");
    fixture.suspended();
    assert_eq!(fixture.connected_again(), session);
    // The refused watch is not set again, so the connection stays.
    assert!(fixture.get("/farm").is_ok());
    assert!(fixture.is_quiet_for(Duration::from_millis(100)));
}

#[test]
fn reading_leaves_a_watch_that_hints_once() {
    let server = FakeServer::start();
    server.put("/a", b"");
    let (fixture, _) = Fixture::at(&server);
    fixture.run(|client| {
        client.get(&path("/a"), Watch::Yes).unwrap();
        client.exists(&path("/b"), Watch::Yes).unwrap();
        client.children(&path("/a"), Watch::Yes).unwrap();
    });
    server.put("/a", b"1");
    server.put("/a", b"2");
    assert_eq!(fixture.hint(), ("/a".to_owned(), Change::Data));
    server.put("/b", b"");
    assert_eq!(fixture.hint(), ("/b".to_owned(), Change::Created));
    server.put("/a/c", b"");
    assert_eq!(fixture.hint(), ("/a".to_owned(), Change::Children));
    assert!(fixture.is_quiet_for(Duration::from_millis(50)));
}

#[test]
fn reading_the_top_of_a_watched_tree_leaves_the_watch_of_the_tree() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    server.put("/farm/a", b"");
    let (fixture, _) = Fixture::at(&server);
    fixture.run(|client| {
        client.watch_tree(&path("/farm")).unwrap();
        client.get(&path("/farm"), Watch::Yes).unwrap();
        client.exists(&path("/farm"), Watch::Yes).unwrap();
    });
    for round in [b"1", b"2"] {
        server.put("/farm/a", round);
        assert_eq!(fixture.hint(), ("/farm/a".to_owned(), Change::Data));
        server.put("/farm", round);
        assert_eq!(fixture.hint(), ("/farm".to_owned(), Change::Data));
    }
    assert!(fixture.is_quiet_for(Duration::from_millis(50)));
}

#[test]
fn below_a_chroot_paths_are_ours() {
    let server = FakeServer::start();
    server.put("/apps/x/a", b"ours");
    server.put("/apps/xa", b"theirs");
    let fixture = Fixture::open(&[&format!("{}/apps/x", server.addr())]);
    fixture.connected_anew();
    fixture.run(|client| client.watch_tree(&path("/"))).unwrap();
    assert_eq!(fixture.get("/a").unwrap().data, b"ours");
    server.put("/apps/xa", b"1");
    server.put("/apps/x", b"1");
    assert_eq!(fixture.hint(), ("/".to_owned(), Change::Data));
    server.put("/apps/x/a", b"1");
    assert_eq!(fixture.hint(), ("/a".to_owned(), Change::Data));
}

#[test]
fn missing_chroot_is_created_with_what_is_created_below_it() {
    let server = FakeServer::start();
    let fixture = Fixture::open_with(options(&[&format!("{}/apps/x", server.addr())]));
    fixture.connected_anew();
    assert!(matches!(fixture.get("/a"), Err(SessionError::NoNode(_))));
    fixture.run(|client| client.create_all(&path("/a/b"))).unwrap();
    assert!(server.get("/apps/x/a/b").is_some());
    fixture.run(|client| client.create_all(&path("/a/b"))).unwrap();
}
