//! The cache by tables, and against a server in memory.

mod bench;
mod storm;

use super::*;
use bench::{Bench, error, hint, path};
use farm_harness::{MemoryServer, Noted, code};

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
        (Depth::CHILDREN, Contents::Names, vec![], 2),
        (Depth::SUBTREE, Contents::Names, vec![], 7),
        (Depth::CHILDREN, Contents::Below, vec!["added /t/a", "added /t/a-b", "added /t/b"], 3),
        (Depth::levels(2), Contents::Below, vec!["added /t/a/x"], 5),
        (Depth::SUBTREE, Contents::Below, vec!["added /t/a/x/1"], 7),
        (Depth::SUBTREE, Contents::All, vec!["added /t", "added /t/a/x/1"], 8),
    ];
    for (depth, contents, added, requests) in table {
        let mut bench = Bench::new(Scope::new(path("/t"), depth, contents), server(&TREE));
        bench.step(Event::connected(true));
        bench.catch_up();
        let told = bench.told();
        assert_eq!(told.last().unwrap(), "complete");
        for news in added {
            assert!(told.iter().any(|told| told == news), "{depth:?} {contents:?}: {told:?}");
        }
        assert_eq!(bench.requests, requests, "{depth:?} {contents:?}");
        assert_eq!(bench.cache.deadline(), None);
    }
}

#[test]
fn the_watch_is_set_before_anything_is_read_and_one_znode_needs_none() {
    let mut bench = Bench::new(below(Depth::SUBTREE), server(&TREE));
    bench.step(Event::connected(true));
    assert_eq!(bench.asks(), ["arm /t"]);
    // A change before the watch is set needs no read of its own.
    bench.step(hint("/t/a", Noted::Data));
    bench.answer();
    assert_eq!(bench.asks(), ["list /t No"]);
    bench.answer();
    assert_eq!(bench.asks(), ["read /t/a /t/a-b /t/b No"]);
    bench.answer();
    // A znode without children has no list.
    assert_eq!(bench.asks(), ["list /t/a No"]);
    let mut bench = Bench::new(Scope::new(path("/t"), Depth::ZNODE, Contents::All), server(&TREE));
    bench.step(Event::connected(true));
    assert_eq!(bench.asks(), ["read /t Yes"]);
}

#[test]
fn one_change_is_one_read_at_every_depth() {
    for at in ["/t/a", "/t/a/x", "/t/a/x/1"] {
        let mut bench = Bench::complete(below(Depth::SUBTREE), server(&TREE));
        bench.server.put(at, b"new");
        bench.catch_up();
        assert_eq!((bench.requests, bench.told()), (1, vec![format!("changed {at}")]));
        assert_eq!(bench.cache.get(&path(at)).unwrap().data, b"new");
    }
    let mut bench = Bench::complete(below(Depth::SUBTREE), server(&TREE));
    bench.server.put("/t/b/new", b"");
    bench.catch_up();
    assert_eq!((bench.requests, bench.told()), (1, vec!["added /t/b/new".to_owned()]));
}

#[test]
fn what_is_not_covered_costs_nothing() {
    let mut bench = Bench::complete(below(Depth::CHILDREN), server(&TREE));
    for (at, noted) in [
        ("/t", Noted::Data),
        ("/t", Noted::Children),
        ("/t/a", Noted::Children),
        ("/t/a/x", Noted::Data),
        ("/tx", Noted::Created),
        ("/", Noted::Children),
    ] {
        bench.step(hint(at, noted));
    }
    assert_eq!((bench.asks(), bench.told()), (vec![], vec![]));
}

#[test]
fn a_deletion_is_believed_or_looked_into() {
    let mut bench = Bench::complete(below(Depth::SUBTREE), server(&TREE));
    bench.step(hint("/t/a", Noted::Deleted));
    // What was below it has gone with it, the deepest first.
    assert_eq!(bench.told(), ["removed /t/a/x/1", "removed /t/a/x", "removed /t/a"]);
    assert_eq!(bench.asks(), NONE);
    let scope = below(Depth::CHILDREN).confirming_removals();
    let mut bench = Bench::complete(scope, server(&TREE));
    bench.server.delete("/t/b");
    bench.server.put("/t/b", b"again");
    bench.catch_up();
    assert_eq!(bench.told(), ["changed /t/b"]);
    bench.server.delete("/t/b");
    bench.catch_up();
    assert_eq!((bench.requests, bench.told()), (3, vec!["removed /t/b".to_owned()]));
}

#[test]
fn an_older_server_is_watched_znode_by_znode() {
    let mut bench = Bench::complete(below(Depth::SUBTREE), server_of(&TREE, true));
    assert!(bench.cache.is_watching_each());
    bench.server.put("/t/a/x", b"new");
    bench.catch_up();
    assert_eq!((bench.requests, bench.told()), (1, vec!["changed /t/a/x".to_owned()]));
    // The list, the znode, and its own list for the watch on it.
    bench.server.put("/t/a/x/2", b"");
    bench.catch_up();
    assert_eq!((bench.requests, bench.told()), (4, vec!["added /t/a/x/2".to_owned()]));
    bench.server.put("/t/a/x/2/deep", b"");
    bench.catch_up();
    assert_eq!(bench.told(), ["added /t/a/x/2/deep"]);
    // A new session may be with a newer server.
    bench.step(Event::connected(true));
    assert_eq!(bench.asks(), ["arm /t"]);
}

#[test]
fn a_znode_that_takes_the_place_of_another_one_is_read_with_all_below_it() {
    for is_old in [false, true] {
        let mut bench = Bench::complete(below(Depth::SUBTREE), server_of(&TREE, is_old));
        for at in ["/t/a/x/1", "/t/a/x", "/t/a"] {
            assert!(bench.server.delete(at));
        }
        for at in ["/t/a", "/t/a/y"] {
            assert!(bench.server.put(at, b"other"));
        }
        bench.catch_up();
        let there: Vec<_> = bench.cache.below().map(|(at, _)| at.to_string()).collect();
        assert_eq!(there, ["/t/a", "/t/a-b", "/t/a/y", "/t/b"], "{is_old}");
        bench.server.put("/t/a/y/z", b"");
        bench.catch_up();
        assert!(bench.cache.get(&path("/t/a/y/z")).is_some(), "{is_old}");
    }
}

#[test]
fn a_connection_that_breaks_is_told_of_and_the_cache_is_in_step_again_after_it() {
    let mut bench = Bench::complete(below(Depth::SUBTREE), server(&TREE));
    bench.step(Event::away());
    bench.step(Event::away());
    assert_eq!((bench.told(), bench.cache.state()), (vec!["suspended".to_owned()], State::Away));
    bench.server.disconnect(false);
    bench.server.delete("/t/b");
    bench.server.put("/t/a", b"new");
    bench.server.put("/t/c", b"");
    bench.server.reconnect();
    assert!(bench.cache.get(&path("/t/b")).is_some());
    bench.step(Event::connected(false));
    assert_eq!(bench.asks(), ["list /t No"]);
    bench.catch_up();
    assert_eq!(bench.told(), ["removed /t/b", "changed /t/a", "added /t/c", "complete"]);
}

#[test]
fn too_many_znodes_are_refused_before_they_are_read() {
    let limits = Limits { znodes: 3, bytes: usize::MAX };
    let mut bench = Bench::complete(below(Depth::CHILDREN).within(limits), server(&TREE));
    bench.server.put("/t/c", b"");
    bench.catch_up();
    assert_eq!(bench.told(), ["added /t/c", "refused more than 3 znodes"]);
    assert_eq!((bench.cache.state(), bench.cache.below().count()), (State::Refused, 0));
    for _ in 0..3 {
        bench.requests = 0;
        bench.tick();
        bench.catch_up();
        assert_eq!((bench.requests, bench.told()), (1, vec![]), "the list alone, told once");
    }
    bench.server.delete("/t/c");
    bench.catch_up();
    bench.tick();
    bench.catch_up();
    assert_eq!(bench.told().last().unwrap(), "complete");
    assert_eq!(bench.cache.deadline(), None);
}

#[test]
fn what_a_bound_makes_it_forget_is_told_although_it_was_refused_before() {
    let limits = Limits { znodes: 3, bytes: usize::MAX };
    let mut bench = Bench::complete(below(Depth::CHILDREN).within(limits), server(&TREE));
    bench.server.forbid("/t", true);
    bench.step(Event::Refresh);
    bench.catch_up();
    assert_eq!(bench.told(), ["refused not authorised: /t"]);
    assert_eq!(bench.cache.below().count(), 3, "what was read is kept");
    bench.server.put("/t/c", b"");
    bench.server.allow_all();
    bench.catch_up();
    bench.tick();
    bench.catch_up();
    assert_eq!(bench.told(), ["refused more than 3 znodes"]);
    assert_eq!((bench.followed.len(), bench.cache.below().count()), (0, 0));
}

#[test]
fn too_many_bytes_are_refused() {
    let limits = Limits { znodes: usize::MAX, bytes: 10 };
    let scope = below(Depth::CHILDREN).within(limits);
    let mut bench = Bench::new(scope, server(&["/t", "/t/a", "/t/b"]));
    bench.server.put("/t/b", b"1234567");
    bench.step(Event::connected(true));
    bench.catch_up();
    assert_eq!(bench.told().last().unwrap(), "refused more than 10 bytes");
    bench.server.put("/t/b", b"123");
    bench.catch_up();
    bench.tick();
    bench.catch_up();
    assert_eq!(bench.told().last().unwrap(), "complete");
}

#[test]
fn a_tree_without_an_end_is_too_many() {
    // Each znode says that it has two children, and so have they.
    let limits = Limits { znodes: 1000, bytes: usize::MAX };
    let mut bench = Bench::new(below(Depth::SUBTREE).within(limits), server(&TREE));
    bench.step(Event::connected(true));
    bench.answer();
    for _ in 0..10_000 {
        if bench.asked.is_empty() {
            break;
        }
        bench.answer_as_if_endless();
    }
    assert_eq!(bench.told().last().unwrap(), "refused more than 1000 znodes");
}

#[test]
fn one_that_is_forbidden_keeps_its_data_and_is_tried_again() {
    let mut bench = Bench::complete(below(Depth::CHILDREN), server(&TREE));
    bench.server.forbid("/t/a", true);
    bench.server.put("/t/a", b"new");
    bench.catch_up();
    assert_eq!(bench.told(), ["unreadable /t/a"]);
    assert!(matches!(bench.cache.trouble(&path("/t/a")), Some(SessionError::NoAuth(_))));
    assert_eq!(bench.cache.get(&path("/t/a")).unwrap().data, b"/t/a");
    bench.tick();
    bench.catch_up();
    assert_eq!(bench.told(), Vec::<String>::new());
    bench.server.allow_all();
    bench.tick();
    bench.catch_up();
    assert_eq!(bench.told(), ["changed /t/a"]);
    assert_eq!(
        (bench.cache.trouble(&path("/t/a")).is_none(), bench.cache.deadline()),
        (true, None)
    );
}

#[test]
fn all_or_nothing_is_nothing_while_one_is_forbidden() {
    let scope = below(Depth::SUBTREE).all_or_nothing();
    let mut bench = Bench::complete(scope, server(&TREE));
    bench.server.forbid("/t/a/x", true);
    bench.server.put("/t/a/x", b"new");
    bench.catch_up();
    assert_eq!(bench.told(), ["refused not authorised: /t/a/x"]);
    assert_eq!(bench.cache.below().count(), 0);
    // Something happens there: that may have mended it, and it is tried soon.
    bench.server.allow_all();
    bench.server.put("/t/b", b"new");
    bench.catch_up();
    bench.tick();
    bench.catch_up();
    assert_eq!(
        (bench.told().last().unwrap().as_str(), bench.cache.below().count()),
        ("complete", 5)
    );
}

#[test]
fn what_is_not_admitted_is_named_once_and_never_read() {
    let scope = below(Depth::SUBTREE).admitting(|at| at.name() != Some("a"));
    let mut bench = Bench::new(scope, server(&TREE));
    bench.step(Event::connected(true));
    bench.catch_up();
    assert_eq!(bench.told(), ["ignored /t a", "added /t/a-b", "added /t/b", "complete"]);
    bench.step(Event::Refresh);
    bench.server.put("/t/a/x/9", b"");
    bench.catch_up();
    assert_eq!(bench.told(), ["complete"]);
    assert_eq!(bench.cache.ignored().map(|(_, name)| name).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn an_answer_to_a_request_before_the_wish_does_not_fulfil_it() {
    let scope = Scope::new(path("/t"), Depth::ZNODE, Contents::All);
    let mut bench = Bench::complete(scope, server(&TREE));
    bench.step(hint("/t", Noted::Data));
    bench.step(Event::Refresh);
    assert_eq!(bench.asks(), ["read /t Yes"]);
    bench.answer();
    assert_eq!((bench.told(), bench.cache.state()), (vec![], State::Loading));
    bench.answer();
    assert_eq!(bench.told(), ["complete"]);
}

#[test]
fn a_read_that_the_link_lost_is_repeated_without_a_word() {
    let mut bench = Bench::new(below(Depth::SUBTREE), server(&TREE));
    bench.step(Event::connected(true));
    for _ in 0..4 {
        bench.fail(&SessionError::Disconnected);
        assert!(bench.told().iter().all(|told| told.starts_with("added")));
        assert_eq!(bench.asks(), NONE);
        bench.tick();
        bench.answer();
    }
    bench.catch_up();
    assert_eq!(bench.told().last().unwrap(), "complete");
}

#[test]
fn a_missing_top_is_waited_for_with_a_watch_of_its_own_where_no_other_tells() {
    for (is_old, waits) in [(false, vec![]), (true, vec!["await /t".to_owned()])] {
        let mut bench = Bench::new(below(Depth::CHILDREN), server_of(&[], is_old));
        bench.step(Event::connected(true));
        bench.answer();
        bench.answer();
        assert_eq!((bench.told(), bench.asks()), (vec!["missing".to_owned()], waits));
        assert!(matches!(bench.cache.refusal(), Some(SessionError::NoNode(_))));
        bench.catch_up();
        bench.server.put("/t", b"");
        bench.server.put("/t/a", b"");
        bench.catch_up();
        assert_eq!(bench.told(), ["added /t/a", "complete"]);
    }
}

#[test]
fn that_a_top_was_not_there_is_no_news_once_it_has_come() {
    let scope = Scope::new(path("/t"), Depth::ZNODE, Contents::All);
    let mut bench = Bench::new(scope, server(&[]));
    bench.step(Event::connected(true));
    bench.fail(&error(&path("/t"), code::NO_AUTH));
    // The answer that it is not there is late.
    let request = bench.asked.remove(0);
    let outcome = bench::perform(&mut bench.server, request.ask());
    bench.server.put("/t", b"1");
    let (_, at, noted) = bench.server.next_note().unwrap();
    bench.step(hint(&at, noted));
    bench.step(Event::Answered(request.answer(outcome)));
    bench.catch_up();
    assert_eq!(bench.told().last().unwrap(), "complete");
}

#[test]
fn many_are_read_together_but_not_all_at_once() {
    let paths: Vec<String> = (0..5000).map(|number| format!("/t/{number:04}")).collect();
    let mut server = server(&["/t"]);
    assert!(paths.iter().all(|at| server.put(at, b"")));
    let mut bench = Bench::new(below(Depth::SUBTREE), server);
    bench.step(Event::connected(true));
    bench.answer();
    bench.answer();
    assert_eq!(bench.asked.len(), REQUESTS_MAX);
    bench.catch_up();
    assert_eq!((bench.cache.below().count(), bench.requests), (5000, 2 + 5000_usize.div_ceil(32)));
}
