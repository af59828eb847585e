//! Mirrors of subtrees.

use super::super::unit::{BYTES_MAX, ZNODES_MAX};
use super::super::*;
use super::bench::{Bench, away, bytes, connected, path};
use farm_core::session::cache::Outcome;
use farm_core::session::{Change, SessionError};
use std::time::Duration;

const NONE: Vec<String> = Vec::new();

/// A subtree that was read.
fn complete(pairs: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::connected(&["t/=/t/"]);
    bench.answer(Outcome::Arm(Ok(())));
    bench.walked(pairs);
    assert!(bench.source.is_complete());
    bench.told();
    bench.pass(1000);
    bench
}

#[test]
fn the_watch_is_set_before_anything_is_read() {
    let mut bench = Bench::connected(&["t/=/t/"]);
    assert_eq!(bench.asks(), ["arm /t"]);
    bench.answer(Outcome::Arm(Ok(())));
    assert_eq!(bench.asks(), ["walk /t"]);
    bench.walked(&[("/t/a", "1"), ("/t/d", ""), ("/t/d/b", "2")]);
    assert_eq!(bench.told(), ["complete {a=1 d/b=2}"]);
    assert_eq!((bench.asks(), bench.source.deadline()), (NONE, None));
}

#[test]
fn the_watch_lasts_as_long_as_the_session() {
    let mut bench = complete(&[("/t/a", "1")]);
    for (is_new, asks) in [(false, "walk /t"), (true, "arm /t")] {
        bench.step(away());
        bench.step(connected(is_new));
        assert_eq!(bench.asks(), [asks]);
        bench.asked.clear();
    }
}

#[test]
fn one_change_is_one_read_and_what_went_costs_none() {
    let mut bench = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    for (at, change, text, told) in [
        ("/t/a", Change::Data, "3", "changed {a=3 b=2}"),
        ("/t/c", Change::Created, "4", "changed {a=3 b=2 c=4}"),
        ("/t/c/d", Change::Created, "5", "changed {a=3 b=2 c/d=5}"),
    ] {
        bench.hint(at, change);
        assert_eq!(bench.asks(), [format!("look {at}")]);
        bench.looked(text);
        bench.pass(10);
        assert_eq!(bench.asks(), NONE);
        let expected = if at == "/t/c/d" {
            // It had bytes of its own before it had a child.
            vec!["overlooked /t/c".to_owned(), told.to_owned()]
        } else {
            vec![told.to_owned()]
        };
        assert_eq!(bench.told(), expected);
    }
    bench.hint("/t/c/d", Change::Deleted);
    bench.pass(10);
    assert_eq!((bench.asks(), bench.told()), (NONE, vec!["changed {a=3 b=2 c=4}".to_owned()]));
}

#[test]
fn hints_that_say_nothing_about_a_file_cost_nothing() {
    let mut bench = complete(&[("/t/a", "1")]);
    for (at, change) in [
        ("/t", Change::Data),
        ("/t", Change::Children),
        ("/t/a", Change::Children),
        ("/tx/a", Change::Created),
        ("/", Change::Children),
    ] {
        bench.hint(at, change);
    }
    assert_eq!((bench.asks(), bench.told()), (NONE, NONE));
    let mut bench = Bench::connected(&["all/=/"]);
    bench.answer(Outcome::Arm(Ok(())));
    bench.walked(&[]);
    bench.hint("/x", Change::Created);
    assert_eq!(bench.asks(), ["look /x"]);
}

#[test]
fn what_is_hinted_at_while_all_is_read_is_read_after_it() {
    let mut bench = complete(&[("/t/a", "1")]);
    bench.step(Event::Refresh);
    bench.hint("/t/a", Change::Data);
    bench.hint("/t/b", Change::Deleted);
    assert_eq!(bench.asks(), ["walk /t"]);
    bench.answer(Outcome::List(Ok(vec!["a".to_owned()])));
    // Nothing was read of them before the hint.
    assert_eq!((bench.told(), bench.asks()), (NONE, vec!["look /t/a /t/b".to_owned()]));
    let read = bench.read(bytes("2"), 0);
    bench.hint("/t/a", Change::Data);
    bench.answer(Outcome::Read(vec![Ok(read), Err(SessionError::NoNode(path("/t/b")))]));
    assert_eq!(
        (bench.told(), bench.asks()),
        (vec!["complete {a=2}".to_owned()], vec!["look /t/a".to_owned()])
    );
    bench.looked("3");
    bench.pass(10);
    assert_eq!(bench.told().last().unwrap(), "changed {a=3}");
}

#[test]
fn read_again_means_after_the_wish() {
    let mut bench = complete(&[("/t/a", "1")]);
    bench.step(Event::Refresh);
    let before = bench.asked.remove(0);
    bench.step(Event::Refresh);
    bench.deliver(&before, Outcome::List(Ok(vec!["a".to_owned()])));
    assert_eq!((bench.told(), bench.source.is_complete()), (NONE, false));
    assert_eq!(bench.asks(), ["walk /t", "look /t/a"]);
    bench.walked(&[("/t/a", "3")]);
    assert_eq!((bench.told(), bench.source.is_complete()), (NONE, false));
    bench.looked("3");
    assert_eq!(bench.told(), ["complete {a=3}"]);
}

#[test]
fn many_changes_are_told_in_a_few_steps() {
    let count = 2000;
    let names: Vec<String> = (0..count).map(|number| format!("/t/{number}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
    let mut bench = complete(&pairs);
    for name in &names {
        bench.hint(name, Change::Data);
    }
    assert_eq!(bench.asked.len(), 64);
    while !bench.asked.is_empty() {
        bench.looked("y");
        // A courier is no faster.
        bench.now += Duration::from_micros(50);
    }
    bench.pass(1000);
    let told = bench.told();
    assert!(told.len() < 10, "{}", told.len());
    assert!(!told.last().unwrap().contains("=x"));
    assert_eq!(bench.source.deadline(), None);
}

#[test]
fn an_older_server_is_watched_znode_by_znode() {
    let mut bench = Bench::connected(&["t/=/t/", "u/=/u/"]);
    bench.answer(Outcome::Arm(Err(SessionError::Unsupported)));
    // It hangs up as well.
    bench.step(away());
    bench.asked.clear();
    bench.step(connected(false));
    assert_eq!(bench.asks(), ["walk /t watching", "walk /u watching"]);
    bench.walked(&[("/t/a", "1")]);
    bench.walked(&[]);
    assert_eq!(bench.told(), ["complete {a=1}|{}"]);
    bench.hint("/t/a", Change::Data);
    assert_eq!(bench.asks(), ["look /t/a watching"]);
    bench.looked("2");
    // A znode that goes is told of, and so is the list that it stood in.
    bench.hint("/t/a", Change::Deleted);
    bench.hint("/t", Change::Children);
    assert_eq!(bench.asks(), ["walk /t watching"]);
    bench.hint("/t", Change::Children);
    bench.walked(&[]);
    // Something happened since it was asked.
    assert_eq!(bench.asks(), ["walk /t watching"]);
    bench.walked(&[("/t/b", "3")]);
    bench.pass(10);
    assert_eq!(bench.told().last().unwrap(), "changed {b=3}|{}");
    // A new session may be with a newer server.
    bench.step(away());
    bench.step(connected(true));
    assert_eq!(bench.asks(), ["arm /t", "arm /u"]);
}

#[test]
fn a_missing_subtree_is_waited_for_and_an_empty_one_is_there() {
    let mut bench = Bench::connected(&["t/=/t/"]);
    bench.answer(Outcome::Arm(Ok(())));
    bench.walked_nowhere();
    assert_eq!(bench.told(), ["missing /t"]);
    bench.hint("/t", Change::Created);
    assert_eq!(bench.asks(), ["walk /t"]);
    bench.walked(&[]);
    assert_eq!(bench.told(), ["complete {}"]);
}

#[test]
fn a_subtree_that_is_deleted_keeps_what_it_had() {
    let mut bench = complete(&[("/t/a", "1"), ("/t/d", ""), ("/t/d/b", "2"), ("/t/d/c", "3")]);
    // A znode goes, and long after that the rest, one by one as ZooKeeper does it.
    bench.hint("/t/d/c", Change::Deleted);
    bench.pass(5000);
    assert_eq!(bench.told(), ["changed {a=1 d/b=2}"]);
    for at in ["/t/d/b", "/t/d", "/t/a"] {
        bench.hint(at, Change::Deleted);
        bench.pass(50);
    }
    assert_eq!(bench.told().last().unwrap(), "changed {}");
    bench.hint("/t", Change::Deleted);
    bench.walked_nowhere();
    assert_eq!(bench.told(), ["deleted /t", "changed {a=1 d/b=2}"]);
    // It stays so over a new contact, and until it is back.
    bench.step(away());
    bench.step(connected(false));
    bench.walked_nowhere();
    assert_eq!(bench.told(), ["complete {a=1 d/b=2}"]);
    bench.hint("/t", Change::Created);
    bench.hint("/t/a", Change::Created);
    bench.walked(&[("/t/a", "9")]);
    assert_eq!(bench.told(), ["changed {a=9}"]);
}

#[test]
fn a_read_that_was_under_way_does_not_bring_a_part_of_it_back() {
    let mut bench = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    bench.hint("/t/a", Change::Data);
    let late = bench.asked.remove(0);
    for at in ["/t/a", "/t/b", "/t"] {
        bench.hint(at, Change::Deleted);
    }
    bench.walked_nowhere();
    let earlier = bench.read(bytes("5"), 0);
    bench.deliver(&late, Outcome::Read(vec![Ok(earlier)]));
    bench.pass(1000);
    assert_eq!(bench.source.content().map(super::bench::shown).unwrap(), "{a=1 b=2}");
    assert_eq!(bench.asks(), NONE);
}

#[test]
fn what_is_not_a_file_is_told_once() {
    let mut bench = Bench::connected(&["t/=/t/"]);
    bench.answer(Outcome::Arm(Ok(())));
    let pairs = [("/t/.x", "1"), ("/t/.x/y", "2"), ("/t/d", "own"), ("/t/d/e", "3")];
    bench.walked(&pairs);
    let dot = "skipped /t/.x: a name with a leading dot is left alone";
    assert_eq!(bench.told(), [dot, "overlooked /t/d", "complete {d/e=3}"]);
    bench.step(Event::Refresh);
    bench.walked(&pairs);
    assert_eq!(bench.told(), ["complete {d/e=3}"]);
    // What is in no file changes none.
    bench.hint("/t/.x", Change::Data);
    bench.looked("9");
    bench.hint("/t/d", Change::Data);
    bench.looked("other");
    bench.pass(1000);
    assert_eq!(bench.told(), NONE);
}

#[test]
fn one_forbidden_znode_keeps_the_subtree_as_it_was() {
    let mut bench = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    bench.hint("/t/a", Change::Data);
    bench.refused("/t/a");
    assert_eq!(bench.told(), ["unreadable /t: not authorised: /t/a"]);
    bench.hint("/t/b", Change::Data);
    assert_eq!((bench.asks(), bench.told()), (NONE, NONE));
    // Something happened: it is tried within a second.
    bench.pass(1000);
    bench.walked(&[("/t/a", "3"), ("/t/b", "4")]);
    assert_eq!(bench.told(), ["changed {a=3 b=4}"]);
    assert_eq!(bench.source.deadline(), None);
}

#[test]
fn a_subtree_beyond_its_bounds_keeps_what_it_had() {
    let names: Vec<String> = (0..ZNODES_MAX).map(|number| format!("/t/{number}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
    let mut bench = complete(&pairs);
    bench.hint("/t/one-more", Change::Created);
    bench.looked("");
    assert_eq!(bench.told(), ["unreadable /t: more than 10000 znodes"]);
    bench.pass(1000);
    bench.answer(Outcome::List(Ok((0..=ZNODES_MAX).map(|number| number.to_string()).collect())));
    assert_eq!(bench.told(), NONE);
    bench.hint("/t/one-more", Change::Deleted);
    bench.pass(1000);
    bench.walked(&pairs[1..]);
    assert_eq!(bench.told().len(), 1);

    let mut bench = complete(&[("/t/a", "1")]);
    bench.hint("/t/a", Change::Data);
    bench.found_bytes(&vec![0; BYTES_MAX + 1].into());
    assert_eq!(bench.told(), ["unreadable /t: more than 67108864 bytes"]);
    assert_eq!(bench.source.content().map(super::bench::shown).unwrap(), "{a=1}");
}

#[test]
fn one_that_comes_back_at_once_was_never_away() {
    let mut bench = complete(&[("/t/a", "1"), ("/t/b", "2")]);
    bench.hint("/t/a", Change::Data);
    bench.hint("/t/a", Change::Deleted);
    bench.hint("/t/a", Change::Created);
    bench.nothing();
    bench.pass(1000);
    assert_eq!((bench.told(), bench.asks()), (NONE, vec!["look /t/a".to_owned()]));
    bench.looked("3");
    assert_eq!(bench.told(), ["changed {a=3 b=2}"]);
}

#[test]
fn an_answer_that_comes_after_two_readings_of_all_is_not_the_last_word() {
    let mut bench = complete(&[("/t/a", "1")]);
    bench.hint("/t/a", Change::Data);
    let late = bench.asked.remove(0);
    bench.hint("/t", Change::Created);
    bench.hint("/t/a", Change::Data);
    bench.hint("/t", Change::Created);
    bench.walked(&[("/t/a", "2")]);
    bench.walked(&[("/t/a", "3")]);
    let earlier = bench.read(bytes("2"), 0);
    bench.deliver(&late, Outcome::Read(vec![Ok(earlier)]));
    assert_eq!(bench.asks(), ["look /t/a"]);
    bench.looked("3");
    bench.pass(1000);
    assert_eq!(bench.told().last().unwrap(), "changed {a=3}");
}
