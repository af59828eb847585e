//! Hints: which come, which don't, and what they survive.

use crate::guest::{Guest, at_one_of_two, config, path};
use farm_core::session::{Change, SessionError, Watch};
use farm_harness::{FakeEnsemble, FakeServer};
use std::time::Duration;

#[test]
fn persistent_watch_is_set_again_on_the_next_server() {
    let ensemble = FakeEnsemble::start();
    ensemble.put("/farm", b"");
    let (guest, session, carrier, _other) = at_one_of_two(&ensemble);
    guest.run(|client| client.watch_tree(&path("/farm"))).unwrap();
    carrier.refuse();
    carrier.cut();
    guest.suspended();
    assert_eq!(guest.connected_again(), session);
    ensemble.put("/farm/a", b"");
    assert_eq!(guest.hint(), ("/farm/a".to_owned(), Change::Created));
    ensemble.put("/farm/a", b"1");
    assert_eq!(guest.hint(), ("/farm/a".to_owned(), Change::Data));
    ensemble.delete("/farm/a");
    assert_eq!(guest.hint(), ("/farm/a".to_owned(), Change::Deleted));
}

#[test]
fn old_server_refuses_the_tree_watch_and_the_session_lives_on() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    server.old_version();
    let (guest, session) = Guest::at(&server);
    let watched = guest.run(|client| client.watch_tree(&path("/farm")));
    assert!(matches!(watched, Err(SessionError::Unsupported)), "{watched:?}");
    guest.suspended();
    assert_eq!(guest.connected_again(), session);
    // What was refused is not asked for again, so the connection stays.
    assert!(guest.get("/farm").is_ok());
    assert!(guest.is_quiet_for(Duration::from_millis(100)));
}

#[test]
fn reading_leaves_a_watch_that_hints_once() {
    let server = FakeServer::start();
    server.put("/a", b"");
    let (guest, _) = Guest::at(&server);
    guest.run(|client| {
        client.get(&path("/a"), Watch::Yes).unwrap();
        client.exists(&path("/b"), Watch::Yes).unwrap();
        client.children(&path("/a"), Watch::Yes).unwrap();
    });
    server.put("/a", b"1");
    server.put("/a", b"2");
    assert_eq!(guest.hint(), ("/a".to_owned(), Change::Data));
    server.put("/b", b"");
    assert_eq!(guest.hint(), ("/b".to_owned(), Change::Created));
    server.put("/a/c", b"");
    assert_eq!(guest.hint(), ("/a".to_owned(), Change::Children));
    assert!(guest.is_quiet_for(Duration::from_millis(50)));
}

#[test]
fn reading_the_top_of_a_watched_tree_leaves_the_watch_of_the_tree() {
    let server = FakeServer::start();
    server.put("/farm", b"");
    server.put("/farm/a", b"");
    let (guest, _) = Guest::at(&server);
    guest.run(|client| {
        client.watch_tree(&path("/farm")).unwrap();
        client.get(&path("/farm"), Watch::Yes).unwrap();
        client.exists(&path("/farm"), Watch::Yes).unwrap();
    });
    for round in [b"1", b"2"] {
        server.put("/farm/a", round);
        assert_eq!(guest.hint(), ("/farm/a".to_owned(), Change::Data));
        server.put("/farm", round);
        assert_eq!(guest.hint(), ("/farm".to_owned(), Change::Data));
    }
    assert!(guest.is_quiet_for(Duration::from_millis(50)));
}

#[test]
fn below_a_chroot_paths_are_ours() {
    let server = FakeServer::start();
    server.put("/apps/x/a", b"ours");
    server.put("/apps/xa", b"another's");
    let guest = Guest::open(&[&format!("{}/apps/x", server.addr())]);
    guest.connected_anew();
    guest.run(|client| client.watch_tree(&path("/"))).unwrap();
    assert_eq!(guest.get("/a").unwrap().data, b"ours");
    server.put("/apps/xa", b"1");
    server.put("/apps/x", b"1");
    assert_eq!(guest.hint(), ("/".to_owned(), Change::Data));
    server.put("/apps/x/a", b"1");
    assert_eq!(guest.hint(), ("/a".to_owned(), Change::Data));
}

#[test]
fn missing_chroot_is_created_with_what_is_created_below_it() {
    let server = FakeServer::start();
    let guest = Guest::open_with(config(&[&format!("{}/apps/x", server.addr())]));
    guest.connected_anew();
    assert!(matches!(guest.get("/a"), Err(SessionError::NoNode(_))));
    guest.run(|client| client.create_all(&path("/a/b"))).unwrap();
    assert!(server.get("/apps/x/a/b").is_some());
    guest.run(|client| client.create_all(&path("/a/b"))).unwrap();
}
