//! The cache with a server in memory.

mod fixture;
mod storm;
mod unannounced;

use super::*;
use farm_harness::{MemoryServer, WatchEvent, code};
use fixture::{Fixture, error, hint, path};

const NONE: [&str; 0] = [];

fn server(paths: &[&str]) -> MemoryServer {
    server_of(paths, false)
}

fn server_of(paths: &[&str], is_old: bool) -> MemoryServer {
    let mut server = MemoryServer::new(is_old);
    for at in paths {
        assert!(server.put(at, at.as_bytes()), "{at}");
    }
    server
}

fn below(depth: Depth) -> Scope {
    Scope::new(path("/t"), depth, Contents::Below)
}

const TREE: [&str; 7] = ["/t", "/t/a", "/t/a/x", "/t/a/x/1", "/t/a-b", "/t/b", "/tx"];

#[test]
fn the_depth_says_how_far_down_it_reads_and_the_contents_what() {
    let table = [
        (Depth::ZNODE, Contents::All, vec!["added /t"], 1),
        (Depth::CHILDREN, Contents::Names, vec!["added /t/a", "added /t/b"], 2),
        (Depth::SUBTREE, Contents::Names, vec!["added /t/a/x/1"], 7),
        (Depth::CHILDREN, Contents::Below, vec!["added /t/a", "added /t/a-b", "added /t/b"], 3),
        (Depth::levels(2), Contents::Below, vec!["added /t/a/x"], 5),
        (Depth::SUBTREE, Contents::Below, vec!["added /t/a/x/1"], 7),
        (Depth::SUBTREE, Contents::All, vec!["added /t", "added /t/a/x/1"], 8),
    ];
    for (depth, contents, added, requests) in table {
        let mut fixture = Fixture::new(Scope::new(path("/t"), depth, contents), server(&TREE));
        fixture.step(Event::connected(true));
        fixture.catch_up();
        let news = fixture.news();
        assert_eq!(news.last().unwrap(), "complete");
        for added in added {
            assert!(news.iter().any(|news| news == added), "{depth:?} {contents:?}: {news:?}");
        }
        assert_eq!(fixture.requests, requests, "{depth:?} {contents:?}");
        assert_eq!(fixture.cache.deadline().is_some(), depth == Depth::ZNODE);
    }
}

#[test]
fn the_watch_is_set_before_anything_is_read_and_one_znode_needs_none() {
    let mut fixture = Fixture::new(below(Depth::SUBTREE), server(&TREE));
    fixture.step(Event::connected(true));
    assert_eq!(fixture.asks(), ["arm /t"]);
    // A change before the watch is set needs no read of its own.
    fixture.step(hint("/t/a", WatchEvent::Data));
    fixture.answer();
    assert_eq!(fixture.asks(), ["list /t No"]);
    fixture.answer();
    assert_eq!(fixture.asks(), ["read /t/a /t/a-b /t/b No"]);
    fixture.answer();
    // A znode without children has no list.
    assert_eq!(fixture.asks(), ["list /t/a No"]);
    let mut fixture =
        Fixture::new(Scope::new(path("/t"), Depth::ZNODE, Contents::All), server(&TREE));
    fixture.step(Event::connected(true));
    assert_eq!(fixture.asks(), ["read /t Yes"]);
}

#[test]
fn names_are_followed_without_reading_anything() {
    for is_old in [false, true] {
        let scope = Scope::new(path("/t"), Depth::CHILDREN, Contents::Names);
        let mut fixture = Fixture::complete(scope.confirming_removals(), server_of(&TREE, is_old));
        let lists = fixture.requests;
        fixture.server.put("/t/a", b"new");
        fixture.server.forbid("/t/b", true);
        fixture.catch_up();
        assert_eq!((fixture.news(), fixture.requests - lists), (Vec::new(), 0), "{is_old}");
        fixture.server.put("/t/c", b"");
        fixture.server.delete("/t/a-b");
        fixture.catch_up();
        let mut news = fixture.news();
        news.sort();
        assert_eq!(news, ["added /t/c", "removed /t/a-b"], "{is_old}");
        let names: Vec<_> = fixture.cache.below().map(|(at, _)| at.to_string()).collect();
        assert_eq!(names, ["/t/a", "/t/b", "/t/c"], "{is_old}");
        if !is_old {
            assert_eq!(fixture.requests, lists);
        }
    }
}

#[test]
fn one_change_is_one_read_at_every_depth() {
    for at in ["/t/a", "/t/a/x", "/t/a/x/1"] {
        let mut fixture = Fixture::complete(below(Depth::SUBTREE), server(&TREE));
        fixture.server.put(at, b"new");
        fixture.catch_up();
        assert_eq!((fixture.requests, fixture.news()), (1, vec![format!("changed {at}")]));
        assert_eq!(fixture.cache.get(&path(at)).unwrap().data, b"new");
    }
    let mut fixture = Fixture::complete(below(Depth::SUBTREE), server(&TREE));
    fixture.server.put("/t/b/new", b"");
    fixture.catch_up();
    assert_eq!((fixture.requests, fixture.news()), (1, vec!["added /t/b/new".to_owned()]));
}

#[test]
fn what_is_not_covered_costs_nothing() {
    let mut fixture = Fixture::complete(below(Depth::CHILDREN), server(&TREE));
    for (at, noted) in [
        ("/t", WatchEvent::Data),
        ("/t", WatchEvent::Children),
        ("/t/a", WatchEvent::Children),
        ("/t/a/x", WatchEvent::Data),
        ("/tx", WatchEvent::Created),
        ("/", WatchEvent::Children),
    ] {
        fixture.step(hint(at, noted));
    }
    assert_eq!((fixture.asks(), fixture.news()), (vec![], vec![]));
}

#[test]
fn a_deletion_is_believed_or_confirmed() {
    let mut fixture = Fixture::complete(below(Depth::SUBTREE), server(&TREE));
    fixture.step(hint("/t/a", WatchEvent::Deleted));
    // Everything below it is removed too, the deepest first.
    assert_eq!(fixture.news(), ["removed /t/a/x/1", "removed /t/a/x", "removed /t/a"]);
    assert_eq!(fixture.asks(), NONE);
    let scope = below(Depth::CHILDREN).confirming_removals();
    let mut fixture = Fixture::complete(scope, server(&TREE));
    fixture.server.delete("/t/b");
    fixture.server.put("/t/b", b"again");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["changed /t/b"]);
    fixture.server.delete("/t/b");
    fixture.catch_up();
    assert_eq!((fixture.requests, fixture.news()), (3, vec!["removed /t/b".to_owned()]));
}

#[test]
fn an_older_server_is_watched_znode_by_znode() {
    let mut fixture = Fixture::complete(below(Depth::SUBTREE), server_of(&TREE, true));
    assert!(fixture.cache.is_watching_each());
    fixture.server.put("/t/a/x", b"new");
    fixture.catch_up();
    assert_eq!((fixture.requests, fixture.news()), (1, vec!["changed /t/a/x".to_owned()]));
    // The list, the znode, and its own list for the watch on it.
    fixture.server.put("/t/a/x/2", b"");
    fixture.catch_up();
    assert_eq!((fixture.requests, fixture.news()), (4, vec!["added /t/a/x/2".to_owned()]));
    fixture.server.put("/t/a/x/2/deep", b"");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["added /t/a/x/2/deep"]);
    // A new session may be with a newer server.
    fixture.step(Event::connected(true));
    assert_eq!(fixture.asks(), ["arm /t"]);
}

#[test]
fn a_znode_that_takes_the_place_of_another_one_is_read_with_all_below_it() {
    for is_old in [false, true] {
        let mut fixture = Fixture::complete(below(Depth::SUBTREE), server_of(&TREE, is_old));
        for at in ["/t/a/x/1", "/t/a/x", "/t/a"] {
            assert!(fixture.server.delete(at));
        }
        for at in ["/t/a", "/t/a/y"] {
            assert!(fixture.server.put(at, b"other"));
        }
        fixture.catch_up();
        let there: Vec<_> = fixture.cache.below().map(|(at, _)| at.to_string()).collect();
        assert_eq!(there, ["/t/a", "/t/a-b", "/t/a/y", "/t/b"], "{is_old}");
        fixture.server.put("/t/a/y/z", b"");
        fixture.catch_up();
        assert!(fixture.cache.get(&path("/t/a/y/z")).is_some(), "{is_old}");
    }
}

#[test]
fn a_broken_connection_is_reported_and_the_cache_is_up_to_date_again_after_it() {
    let mut fixture = Fixture::complete(below(Depth::SUBTREE), server(&TREE));
    fixture.step(Event::away());
    fixture.step(Event::away());
    assert_eq!(
        (fixture.news(), fixture.cache.state()),
        (vec!["suspended".to_owned()], State::Disconnected)
    );
    fixture.server.disconnect(false);
    fixture.server.delete("/t/b");
    fixture.server.put("/t/a", b"new");
    fixture.server.put("/t/c", b"");
    fixture.server.reconnect();
    assert!(fixture.cache.get(&path("/t/b")).is_some());
    fixture.step(Event::connected(false));
    assert_eq!(fixture.asks(), ["list /t No"]);
    fixture.catch_up();
    assert_eq!(fixture.news(), ["removed /t/b", "changed /t/a", "added /t/c", "complete"]);
}

#[test]
fn too_many_znodes_are_refused_before_they_are_read() {
    let limits = Limits { znodes: 3, bytes: usize::MAX };
    let mut fixture = Fixture::complete(below(Depth::CHILDREN).within(limits), server(&TREE));
    fixture.server.put("/t/c", b"");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["added /t/c", "refused more than 3 znodes"]);
    assert_eq!((fixture.cache.state(), fixture.cache.below().count()), (State::Refused, 0));
    for _ in 0..3 {
        fixture.requests = 0;
        fixture.tick();
        fixture.catch_up();
        assert_eq!((fixture.requests, fixture.news()), (1, vec![]), "the list, reported once");
    }
    fixture.server.delete("/t/c");
    fixture.catch_up();
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news().last().unwrap(), "complete");
    assert_eq!(fixture.cache.deadline(), None);
}

#[test]
fn dropping_znodes_over_a_limit_is_reported_although_the_top_was_refused_before() {
    let limits = Limits { znodes: 3, bytes: usize::MAX };
    let mut fixture = Fixture::complete(below(Depth::CHILDREN).within(limits), server(&TREE));
    fixture.server.forbid("/t", true);
    fixture.step(Event::Refresh);
    fixture.catch_up();
    assert_eq!(fixture.news(), ["refused not authorised: /t"]);
    assert_eq!(fixture.cache.below().count(), 3, "what was read is kept");
    fixture.server.put("/t/c", b"");
    fixture.server.allow_all();
    fixture.catch_up();
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news(), ["refused more than 3 znodes"]);
    assert_eq!((fixture.followed.len(), fixture.cache.below().count()), (0, 0));
}

#[test]
fn too_many_bytes_are_refused() {
    let limits = Limits { znodes: usize::MAX, bytes: 10 };
    let scope = below(Depth::CHILDREN).within(limits);
    let mut fixture = Fixture::new(scope, server(&["/t", "/t/a", "/t/b"]));
    fixture.server.put("/t/b", b"1234567");
    fixture.step(Event::connected(true));
    fixture.catch_up();
    assert_eq!(fixture.news().last().unwrap(), "refused more than 10 bytes");
    fixture.server.put("/t/b", b"123");
    fixture.catch_up();
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news().last().unwrap(), "complete");
}

#[test]
fn a_tree_without_an_end_is_too_many() {
    // Each znode has two children, without end.
    let limits = Limits { znodes: 1000, bytes: usize::MAX };
    let mut fixture = Fixture::new(below(Depth::SUBTREE).within(limits), server(&TREE));
    fixture.step(Event::connected(true));
    fixture.answer();
    for _ in 0..10_000 {
        if fixture.asked.is_empty() {
            break;
        }
        fixture.answer_as_if_endless();
    }
    assert_eq!(fixture.news().last().unwrap(), "refused more than 1000 znodes");
}

#[test]
fn a_forbidden_znode_keeps_its_data_and_is_retried() {
    let mut fixture = Fixture::complete(below(Depth::CHILDREN), server(&TREE));
    fixture.server.forbid("/t/a", true);
    fixture.server.put("/t/a", b"new");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["unreadable /t/a"]);
    assert!(matches!(fixture.cache.error(&path("/t/a")), Some(SessionError::NoAuth(_))));
    assert_eq!(fixture.cache.get(&path("/t/a")).unwrap().data, b"/t/a");
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news(), Vec::<String>::new());
    fixture.server.allow_all();
    fixture.tick();
    fixture.catch_up();
    assert_eq!(fixture.news(), ["changed /t/a"]);
    assert_eq!(
        (fixture.cache.error(&path("/t/a")).is_none(), fixture.cache.deadline()),
        (true, None)
    );
}

#[test]
fn all_or_nothing_is_nothing_while_one_is_forbidden() {
    let scope = below(Depth::SUBTREE).all_or_nothing();
    let mut fixture = Fixture::complete(scope, server(&TREE));
    fixture.server.forbid("/t/a/x", true);
    fixture.server.put("/t/a/x", b"new");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["refused not authorised: /t/a/x"]);
    assert_eq!(fixture.cache.below().count(), 0);
    // A hint may mean that it is allowed again, and brings the retry forward.
    fixture.server.allow_all();
    fixture.server.put("/t/b", b"new");
    fixture.catch_up();
    fixture.tick();
    fixture.catch_up();
    assert_eq!(
        (fixture.news().last().unwrap().as_str(), fixture.cache.below().count()),
        ("complete", 5)
    );
}

#[test]
fn what_is_not_admitted_is_named_once_and_never_read() {
    let scope = below(Depth::SUBTREE).admitting(|at| at.name() != Some("a"));
    let mut fixture = Fixture::new(scope, server(&TREE));
    fixture.step(Event::connected(true));
    fixture.catch_up();
    assert_eq!(fixture.news(), ["ignored /t a", "added /t/a-b", "added /t/b", "complete"]);
    fixture.step(Event::Refresh);
    fixture.server.put("/t/a/x/9", b"");
    fixture.catch_up();
    assert_eq!(fixture.news(), ["complete"]);
    assert_eq!(fixture.cache.ignored().map(|(_, name)| name).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn an_answer_to_a_request_before_a_refresh_does_not_complete_it() {
    let scope = Scope::new(path("/t"), Depth::ZNODE, Contents::All);
    let mut fixture = Fixture::complete(scope, server(&TREE));
    fixture.step(hint("/t", WatchEvent::Data));
    fixture.step(Event::Refresh);
    assert_eq!(fixture.asks(), ["read /t Yes"]);
    fixture.answer();
    assert_eq!((fixture.news(), fixture.cache.state()), (vec![], State::Loading));
    fixture.answer();
    assert_eq!(fixture.news(), ["complete"]);
}

#[test]
fn a_read_that_the_connection_lost_is_repeated_without_news() {
    let mut fixture = Fixture::new(below(Depth::SUBTREE), server(&TREE));
    fixture.step(Event::connected(true));
    for _ in 0..4 {
        fixture.fail(&SessionError::Disconnected);
        assert!(fixture.news().iter().all(|news| news.starts_with("added")));
        assert_eq!(fixture.asks(), NONE);
        fixture.tick();
        fixture.answer();
    }
    fixture.catch_up();
    assert_eq!(fixture.news().last().unwrap(), "complete");
}

#[test]
fn a_missing_top_is_awaited_with_a_watch_of_its_own_without_a_watch_on_the_tree() {
    for (is_old, waits) in [(false, vec![]), (true, vec!["await /t".to_owned()])] {
        let mut fixture = Fixture::new(below(Depth::CHILDREN), server_of(&[], is_old));
        fixture.step(Event::connected(true));
        fixture.answer();
        fixture.answer();
        assert_eq!((fixture.news(), fixture.asks()), (vec!["missing".to_owned()], waits));
        assert!(matches!(fixture.cache.refusal(), Some(SessionError::NoNode(_))));
        fixture.catch_up();
        fixture.server.put("/t", b"");
        fixture.server.put("/t/a", b"");
        fixture.catch_up();
        assert_eq!(fixture.news(), ["added /t/a", "complete"]);
    }
}

#[test]
fn a_late_answer_that_the_top_is_missing_is_ignored_once_it_exists() {
    let scope = Scope::new(path("/t"), Depth::ZNODE, Contents::All);
    let mut fixture = Fixture::new(scope, server(&[]));
    fixture.step(Event::connected(true));
    fixture.fail(&error(&path("/t"), code::NO_AUTH));
    // The answer that it does not exist is late.
    let request = fixture.asked.remove(0);
    let outcome = fixture::perform(&mut fixture.server, request.ask());
    fixture.server.put("/t", b"1");
    let (_, at, noted) = fixture.server.next_note().unwrap();
    fixture.step(hint(&at, noted));
    fixture.step(Event::Answered(request.answer(outcome)));
    fixture.catch_up();
    assert_eq!(fixture.news().last().unwrap(), "complete");
}

#[test]
fn many_are_read_together_but_not_all_at_once() {
    let paths: Vec<String> = (0..5000).map(|number| format!("/t/{number:04}")).collect();
    let mut server = server(&["/t"]);
    assert!(paths.iter().all(|at| server.put(at, b"")));
    let mut fixture = Fixture::new(below(Depth::SUBTREE), server);
    fixture.step(Event::connected(true));
    fixture.answer();
    fixture.answer();
    assert_eq!(fixture.asked.len(), REQUESTS_MAX);
    fixture.catch_up();
    assert_eq!(
        (fixture.cache.below().count(), fixture.requests),
        (5000, 2 + 5000_usize.div_ceil(32))
    );
}
