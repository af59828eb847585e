//! Mirrors of subtrees.

use super::super::*;
use super::fixture::{Fixture, away, bytes, connected, path};
use farm_core::farm::rollout::{TREE_BYTES_MAX, TREE_ZNODES_MAX};
use farm_core::session::cache::Outcome;
use farm_core::session::{Change, SessionError};
use std::time::Duration;

const NONE: Vec<String> = Vec::new();

/// A source that has read a subtree.
fn complete(pairs: &[(&str, &str)]) -> Fixture {
    let mut fixture = Fixture::connected(&["t/=/t/"]);
    fixture.answer(Outcome::Arm(Ok(())));
    fixture.answer_walk(pairs);
    assert!(fixture.source.is_complete());
    fixture.take_news();
    fixture.pass(1000);
    fixture
}

#[test]
fn the_watch_is_set_before_anything_is_read() {
    let mut fixture = Fixture::connected(&["t/=/t/"]);
    assert_eq!(fixture.request_names(), ["arm /t"]);
    fixture.answer(Outcome::Arm(Ok(())));
    assert_eq!(fixture.request_names(), ["walk /t"]);
    fixture.answer_walk(&[("/t/a", "1"), ("/t/d", ""), ("/t/d/b", "2")]);
    assert_eq!(fixture.take_news(), ["complete {a=1 d/b=2}"]);
    assert_eq!((fixture.request_names(), fixture.source.deadline()), (NONE, None));
}

#[test]
fn the_watch_lasts_as_long_as_the_session() {
    let mut fixture = complete(&[("/t/a", "1")]);
    for (is_new, asks) in [(false, "walk /t"), (true, "arm /t")] {
        fixture.step(away());
        fixture.step(connected(is_new));
        assert_eq!(fixture.request_names(), [asks]);
        fixture.requests.clear();
    }
}

#[test]
fn a_change_is_one_read_and_a_deletion_none() {
    let mut fixture = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    for (at, change, text, changed) in [
        ("/t/a", Change::Data, "3", "changed {a=3 b=2}"),
        ("/t/c", Change::Created, "4", "changed {a=3 b=2 c=4}"),
        ("/t/c/d", Change::Created, "5", "changed {a=3 b=2 c/d=5}"),
    ] {
        fixture.hint(at, change);
        assert_eq!(fixture.request_names(), [format!("look {at}")]);
        fixture.answer_read(text);
        fixture.pass(10);
        assert_eq!(fixture.request_names(), NONE);
        let expected = if at == "/t/c/d" {
            // It had bytes before it had a child.
            vec!["bytes ignored /t/c".to_owned(), changed.to_owned()]
        } else {
            vec![changed.to_owned()]
        };
        assert_eq!(fixture.take_news(), expected);
    }
    fixture.hint("/t/c/d", Change::Deleted);
    fixture.pass(10);
    assert_eq!(
        (fixture.request_names(), fixture.take_news()),
        (NONE, vec!["changed {a=3 b=2 c=4}".to_owned()])
    );
}

#[test]
fn hints_about_no_file_cause_no_read() {
    let mut fixture = complete(&[("/t/a", "1")]);
    for (at, change) in [
        ("/t", Change::Data),
        ("/t", Change::Children),
        ("/t/a", Change::Children),
        ("/tx/a", Change::Created),
        ("/", Change::Children),
    ] {
        fixture.hint(at, change);
    }
    assert_eq!((fixture.request_names(), fixture.take_news()), (NONE, NONE));
    let mut fixture = Fixture::connected(&["all/=/"]);
    fixture.answer(Outcome::Arm(Ok(())));
    fixture.answer_walk(&[]);
    fixture.hint("/x", Change::Created);
    assert_eq!(fixture.request_names(), ["look /x"]);
}

#[test]
fn a_hint_during_a_full_read_is_followed_by_a_read() {
    let mut fixture = complete(&[("/t/a", "1")]);
    fixture.step(Event::Refresh);
    fixture.hint("/t/a", Change::Data);
    fixture.hint("/t/b", Change::Deleted);
    assert_eq!(fixture.request_names(), ["walk /t"]);
    fixture.answer(Outcome::List(Ok(vec!["a".to_owned()])));
    // They were not read before the hint.
    assert_eq!(
        (fixture.take_news(), fixture.request_names()),
        (NONE, vec!["look /t/a /t/b".to_owned()])
    );
    let read = fixture.read(bytes("2"), 0);
    fixture.hint("/t/a", Change::Data);
    fixture.answer(Outcome::Read(vec![Ok(read), Err(SessionError::NoNode(path("/t/b")))]));
    assert_eq!(
        (fixture.take_news(), fixture.request_names()),
        (vec!["complete {a=2}".to_owned()], vec!["look /t/a".to_owned()])
    );
    fixture.answer_read("3");
    fixture.pass(10);
    assert_eq!(fixture.take_news().last().unwrap(), "changed {a=3}");
}

#[test]
fn a_refresh_is_a_read_that_begins_after_it() {
    let mut fixture = complete(&[("/t/a", "1")]);
    fixture.step(Event::Refresh);
    let before = fixture.requests.remove(0);
    fixture.step(Event::Refresh);
    fixture.deliver(&before, Outcome::List(Ok(vec!["a".to_owned()])));
    assert_eq!((fixture.take_news(), fixture.source.is_complete()), (NONE, false));
    assert_eq!(fixture.request_names(), ["walk /t", "look /t/a"]);
    fixture.answer_walk(&[("/t/a", "3")]);
    assert_eq!((fixture.take_news(), fixture.source.is_complete()), (NONE, false));
    fixture.answer_read("3");
    assert_eq!(fixture.take_news(), ["complete {a=3}"]);
}

#[test]
fn many_changes_are_reported_in_a_few_steps() {
    let count = 2000;
    let names: Vec<String> = (0..count).map(|number| format!("/t/{number}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
    let mut fixture = complete(&pairs);
    for name in &names {
        fixture.hint(name, Change::Data);
    }
    assert_eq!(fixture.requests.len(), 64);
    while !fixture.requests.is_empty() {
        fixture.answer_read("y");
        // A request takes at least this long.
        fixture.now += Duration::from_micros(50);
    }
    fixture.pass(1000);
    let news = fixture.take_news();
    assert!(news.len() < 10, "{}", news.len());
    assert!(!news.last().unwrap().contains("=x"));
    assert_eq!(fixture.source.deadline(), None);
}

#[test]
fn an_older_server_is_watched_znode_by_znode() {
    let mut fixture = Fixture::connected(&["t/=/t/", "u/=/u/"]);
    fixture.answer(Outcome::Arm(Err(SessionError::Unsupported)));
    // The server closes the connection as well.
    fixture.step(away());
    fixture.requests.clear();
    fixture.step(connected(false));
    assert_eq!(fixture.request_names(), ["walk /t watching", "walk /u watching"]);
    fixture.answer_walk(&[("/t/a", "1")]);
    fixture.answer_walk(&[]);
    assert_eq!(fixture.take_news(), ["complete {a=1}|{}"]);
    fixture.hint("/t/a", Change::Data);
    assert_eq!(fixture.request_names(), ["look /t/a watching"]);
    fixture.answer_read("2");
    // The deletion of a znode sends an event for it and one for its parent's children.
    fixture.hint("/t/a", Change::Deleted);
    fixture.hint("/t", Change::Children);
    assert_eq!(fixture.request_names(), ["walk /t watching"]);
    fixture.hint("/t", Change::Children);
    fixture.answer_walk(&[]);
    // There was a hint after the request.
    assert_eq!(fixture.request_names(), ["walk /t watching"]);
    fixture.answer_walk(&[("/t/b", "3")]);
    fixture.pass(10);
    assert_eq!(fixture.take_news().last().unwrap(), "changed {b=3}|{}");
    // The next session may be with a newer server.
    fixture.step(away());
    fixture.step(connected(true));
    assert_eq!(fixture.request_names(), ["arm /t", "arm /u"]);
}

#[test]
fn the_source_waits_for_a_missing_subtree_and_accepts_an_empty_one() {
    let mut fixture = Fixture::connected(&["t/=/t/"]);
    fixture.answer(Outcome::Arm(Ok(())));
    fixture.answer_walk_missing();
    assert_eq!(fixture.take_news(), ["missing /t"]);
    fixture.hint("/t", Change::Created);
    assert_eq!(fixture.request_names(), ["walk /t"]);
    fixture.answer_walk(&[]);
    assert_eq!(fixture.take_news(), ["complete {}"]);
}

#[test]
fn a_subtree_that_is_deleted_keeps_what_it_had() {
    let mut fixture = complete(&[("/t/a", "1"), ("/t/d", ""), ("/t/d/b", "2"), ("/t/d/c", "3")]);
    // One znode is deleted, and much later the rest, one by one.
    fixture.hint("/t/d/c", Change::Deleted);
    fixture.pass(5000);
    assert_eq!(fixture.take_news(), ["changed {a=1 d/b=2}"]);
    for at in ["/t/d/b", "/t/d", "/t/a"] {
        fixture.hint(at, Change::Deleted);
        fixture.pass(50);
    }
    assert_eq!(fixture.take_news().last().unwrap(), "changed {}");
    fixture.hint("/t", Change::Deleted);
    fixture.answer_walk_missing();
    assert_eq!(fixture.take_news(), ["deleted /t", "changed {a=1 d/b=2}"]);
    // The files stay over a new connection, until the subtree is back.
    fixture.step(away());
    fixture.step(connected(false));
    fixture.answer_walk_missing();
    assert_eq!(fixture.take_news(), ["complete {a=1 d/b=2}"]);
    fixture.hint("/t", Change::Created);
    fixture.hint("/t/a", Change::Created);
    fixture.answer_walk(&[("/t/a", "9")]);
    assert_eq!(fixture.take_news(), ["changed {a=9}"]);
}

#[test]
fn a_read_that_was_under_way_does_not_bring_a_part_of_it_back() {
    let mut fixture = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    fixture.hint("/t/a", Change::Data);
    let late = fixture.requests.remove(0);
    for at in ["/t/a", "/t/b", "/t"] {
        fixture.hint(at, Change::Deleted);
    }
    fixture.answer_walk_missing();
    let earlier = fixture.read(bytes("5"), 0);
    fixture.deliver(&late, Outcome::Read(vec![Ok(earlier)]));
    fixture.pass(1000);
    assert_eq!(fixture.source.content().map(super::fixture::shown).unwrap(), "{a=1 b=2}");
    assert_eq!(fixture.request_names(), NONE);
}

#[test]
fn a_znode_that_becomes_no_file_is_reported_once() {
    let mut fixture = Fixture::connected(&["t/=/t/"]);
    fixture.answer(Outcome::Arm(Ok(())));
    let pairs = [("/t/.x", "1"), ("/t/.x/y", "2"), ("/t/d", "own"), ("/t/d/e", "3")];
    fixture.answer_walk(&pairs);
    let dot = "skipped /t/.x: a file name cannot start with a dot";
    assert_eq!(fixture.take_news(), [dot, "bytes ignored /t/d", "complete {d/e=3}"]);
    fixture.step(Event::Refresh);
    fixture.answer_walk(&pairs);
    assert_eq!(fixture.take_news(), ["complete {d/e=3}"]);
    // Znodes that are no files change no file.
    fixture.hint("/t/.x", Change::Data);
    fixture.answer_read("9");
    fixture.hint("/t/d", Change::Data);
    fixture.answer_read("other");
    fixture.pass(1000);
    assert_eq!(fixture.take_news(), NONE);
}

#[test]
fn one_forbidden_znode_keeps_the_subtree_as_it_was() {
    let mut fixture = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    fixture.hint("/t/a", Change::Data);
    fixture.answer_refused("/t/a");
    assert_eq!(fixture.take_news(), ["unreadable /t: not authorised: /t/a"]);
    fixture.hint("/t/b", Change::Data);
    assert_eq!((fixture.request_names(), fixture.take_news()), (NONE, NONE));
    // After the hint it is tried within a second.
    fixture.pass(1000);
    fixture.answer_walk(&[("/t/a", "3"), ("/t/b", "4")]);
    assert_eq!(fixture.take_news(), ["readable /t", "changed {a=3 b=4}"]);
    assert_eq!(fixture.source.deadline(), None);
}

#[test]
fn a_subtree_beyond_its_bounds_keeps_what_it_had() {
    let names: Vec<String> = (0..TREE_ZNODES_MAX).map(|number| format!("/t/{number}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    let mut fixture = complete(&pairs);
    fixture.hint("/t/one-more", Change::Created);
    fixture.answer_read("");
    assert_eq!(fixture.take_news(), ["unreadable /t: more than 10000 znodes"]);
    fixture.pass(1000);
    fixture.answer(Outcome::List(Ok((0..=TREE_ZNODES_MAX)
        .map(|number| number.to_string())
        .collect())));
    assert_eq!(fixture.take_news(), NONE);
    fixture.hint("/t/one-more", Change::Deleted);
    fixture.pass(1000);
    fixture.answer_walk(&pairs[1..]);
    let news = fixture.take_news();
    assert_eq!((news.len(), &*news[0]), (2, "readable /t"));

    let mut fixture = complete(&[("/t/a", "1")]);
    fixture.hint("/t/a", Change::Data);
    fixture.answer_read_bytes(&vec![0; TREE_BYTES_MAX + 1].into());
    assert_eq!(fixture.take_news(), ["unreadable /t: more than 67108864 bytes"]);
    assert_eq!(fixture.source.content().map(super::fixture::shown).unwrap(), "{a=1}");
}

#[test]
fn a_znode_that_is_recreated_at_once_stays_in_the_content() {
    let mut fixture = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    fixture.hint("/t/a", Change::Data);
    fixture.hint("/t/a", Change::Deleted);
    fixture.hint("/t/a", Change::Created);
    fixture.answer_missing();
    fixture.pass(1000);
    assert_eq!(
        (fixture.take_news(), fixture.request_names()),
        (NONE, vec!["look /t/a".to_owned()])
    );
    fixture.answer_read("3");
    assert_eq!(fixture.take_news(), ["changed {a=3 b=2}"]);
}

#[test]
fn an_answer_older_than_two_full_reads_is_not_final() {
    let mut fixture = complete(&[("/t/a", "1")]);
    fixture.hint("/t/a", Change::Data);
    let late = fixture.requests.remove(0);
    fixture.hint("/t", Change::Created);
    fixture.hint("/t/a", Change::Data);
    fixture.hint("/t", Change::Created);
    fixture.answer_walk(&[("/t/a", "2")]);
    fixture.answer_walk(&[("/t/a", "3")]);
    let earlier = fixture.read(bytes("2"), 0);
    fixture.deliver(&late, Outcome::Read(vec![Ok(earlier)]));
    assert_eq!(fixture.request_names(), ["look /t/a"]);
    fixture.answer_read("3");
    fixture.pass(1000);
    assert_eq!(fixture.take_news().last().unwrap(), "changed {a=3}");
}
