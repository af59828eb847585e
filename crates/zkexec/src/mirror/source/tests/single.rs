//! Mirrors of one znode.

use super::super::*;
use super::bench::{Bench, away, bytes, connected};
use farm_core::session::cache::Outcome;
use farm_core::session::{Change, SessionError};

const NONE: Vec<String> = Vec::new();

#[test]
fn nothing_is_complete_before_everything_was_read() {
    let mut bench = Bench::connected(&["a=/a", "b=/b"]);
    assert_eq!(bench.asks(), ["read /a", "read /b"]);
    bench.found("1");
    assert_eq!((bench.told(), bench.source.is_complete()), (NONE, false));
    bench.found("");
    assert_eq!(bench.told(), ["complete 1|"]);
    assert!(bench.source.is_complete() && bench.asks().is_empty());
    assert_eq!(bench.source.deadline(), None);
}

#[test]
fn one_change_is_one_read_and_no_change_is_no_news() {
    let mut bench = Bench::connected(&["a=/a", "b=/b"]);
    bench.found("1");
    bench.found("2");
    bench.told();
    bench.hint("/a", Change::Data);
    assert_eq!((bench.asks(), bench.told()), (vec!["read /a".to_owned()], NONE));
    bench.found("3");
    assert_eq!((bench.asks(), bench.told()), (NONE, vec!["changed 3|2".to_owned()]));
    bench.hint("/a", Change::Data);
    bench.found("3");
    assert_eq!(bench.told(), NONE);
    // Emptied is not gone.
    bench.hint("/b", Change::Data);
    bench.found("");
    assert_eq!(bench.told(), ["changed 3|"]);
}

#[test]
fn hints_about_others_cost_nothing() {
    let mut bench = Bench::connected(&["a=/a"]);
    bench.found("1");
    for (at, change) in [
        ("/", Change::Children),
        ("/a", Change::Children),
        ("/a/b", Change::Created),
        ("/ab", Change::Data),
    ] {
        bench.hint(at, change);
    }
    assert_eq!(bench.asks(), NONE);
}

#[test]
fn two_mirrors_of_one_znode_cost_one_read() {
    let mut bench = Bench::connected(&["a=/z", "b=/z,optional"]);
    assert_eq!(bench.asks(), ["read /z"]);
    bench.nothing();
    assert_eq!(bench.told(), ["missing /z"]);
    bench.hint("/z", Change::Created);
    bench.found("1");
    assert_eq!(bench.told(), ["complete 1|1"]);
}

#[test]
fn a_missing_znode_is_told_once_and_waited_for() {
    let mut bench = Bench::connected(&["a=/a", "b=/b"]);
    bench.found("1");
    bench.nothing();
    assert_eq!((bench.told(), bench.source.is_complete()), (vec!["missing /b".to_owned()], false));
    bench.step(Event::Refresh);
    bench.found("1");
    bench.nothing();
    bench.step(away());
    bench.step(connected(true));
    bench.found("1");
    bench.nothing();
    bench.hint("/a", Change::Data);
    bench.found("2");
    assert_eq!(bench.told(), NONE);
    bench.hint("/b", Change::Created);
    bench.found("3");
    assert_eq!(bench.told(), ["complete 2|3"]);
}

#[test]
fn an_optional_znode_may_come_and_go() {
    let mut bench = Bench::connected(&["a=/a,optional"]);
    bench.nothing();
    assert_eq!(bench.told(), ["complete -"]);
    bench.hint("/a", Change::Created);
    bench.found("1");
    assert_eq!(bench.told(), ["changed 1"]);
    bench.hint("/a", Change::Deleted);
    bench.nothing();
    assert_eq!(bench.told(), ["deleted /a"]);
}

#[test]
fn what_is_deleted_keeps_its_last_bytes() {
    let mut bench = Bench::connected(&["a=/a"]);
    bench.found("1");
    bench.told();
    bench.hint("/a", Change::Deleted);
    bench.nothing();
    assert_eq!(bench.told(), ["deleted /a"]);
    // Over a new contact too, and once is enough.
    bench.step(away());
    bench.step(connected(true));
    bench.nothing();
    assert_eq!(bench.told(), ["complete 1"]);
    // Back with what it had is no change; with anything else it is.
    bench.hint("/a", Change::Created);
    bench.found("1");
    assert_eq!(bench.told(), NONE);
    bench.hint("/a", Change::Deleted);
    bench.nothing();
    bench.hint("/a", Change::Created);
    bench.found("2");
    assert_eq!(bench.told(), ["deleted /a", "changed 2"]);
}

#[test]
fn a_hint_during_a_read_is_one_further_read_however_many_there_are() {
    let mut bench = Bench::connected(&["a=/a"]);
    for _ in 0..3 {
        bench.hint("/a", Change::Data);
    }
    assert_eq!(bench.asks(), ["read /a"]);
    bench.found("1");
    assert_eq!(
        (bench.asks(), bench.told()),
        (vec!["read /a".to_owned()], vec!["complete 1".to_owned()])
    );
    bench.found("2");
    assert_eq!((bench.asks(), bench.told()), (NONE, vec!["changed 2".to_owned()]));
}

#[test]
fn one_that_seems_gone_while_it_is_hinted_at_may_be_back() {
    let mut bench = Bench::connected(&["a=/a"]);
    bench.found("1");
    bench.told();
    bench.hint("/a", Change::Deleted);
    bench.hint("/a", Change::Created);
    bench.nothing();
    assert_eq!(bench.told(), NONE);
    bench.found("1");
    assert_eq!(bench.told(), NONE);
}

#[test]
fn every_contact_reads_everything_again() {
    let mut bench = Bench::connected(&["a=/a", "b=/b"]);
    bench.found("1");
    let stale = bench.asked.remove(0);
    bench.step(away());
    let old = bench.read(bytes("old"), 0);
    bench.deliver(&stale, Outcome::Read(vec![Ok(old)]));
    bench.hint("/a", Change::Data);
    bench.step(Event::Refresh);
    assert_eq!((bench.asks(), bench.told()), (NONE, NONE));
    bench.step(connected(false));
    assert_eq!(bench.asks(), ["read /a", "read /b"]);
    let old = bench.read(bytes("old"), 0);
    bench.deliver(&stale, Outcome::Read(vec![Ok(old)]));
    bench.found("1");
    assert_eq!(bench.told(), NONE);
    bench.found("2");
    assert_eq!(bench.told(), ["complete 1|2"]);
    bench.step(away());
    assert!(!bench.source.is_complete());
    assert!(bench.source.content().is_some());
}

#[test]
fn read_again_means_after_the_wish() {
    let mut bench = Bench::connected(&["a=/a"]);
    bench.found("1");
    bench.told();
    bench.hint("/a", Change::Data);
    let before = bench.asked.remove(0);
    bench.step(Event::Refresh);
    let earlier = bench.read(bytes("2"), 0);
    bench.deliver(&before, Outcome::Read(vec![Ok(earlier)]));
    assert_eq!((bench.told(), bench.source.is_complete()), (NONE, false));
    bench.found("3");
    assert_eq!(bench.told(), ["complete 3"]);
}

#[test]
fn what_is_forbidden_keeps_its_bytes_is_told_once_and_tried_again() {
    let mut bench = Bench::connected(&["a=/a"]);
    bench.found("1");
    bench.told();
    bench.hint("/a", Change::Data);
    bench.refused("/a");
    assert_eq!(bench.told(), ["unreadable /a: not authorised: /a"]);
    let mut waited = Vec::new();
    for _ in 0..12 {
        let due = bench.source.deadline().unwrap();
        waited.push(due.duration_since(bench.now).as_secs_f64());
        bench.now = due;
        bench.step(Event::Tick);
        bench.refused("/a");
    }
    assert!(waited[0] <= 1.0 && waited[11] >= 150.0 && waited[11] <= 300.0, "{waited:?}");
    assert_eq!(bench.told(), NONE);
    bench.pass(300_000);
    bench.found("2");
    assert_eq!((bench.told(), bench.source.deadline()), (vec!["changed 2".to_owned()], None));
    // From then on it is news again.
    bench.hint("/a", Change::Data);
    bench.refused("/a");
    assert_eq!(bench.told().len(), 1);
    assert!(bench.source.deadline().unwrap().duration_since(bench.now).as_secs() <= 1);
}

#[test]
fn what_was_always_forbidden_is_never_complete() {
    let mut bench = Bench::connected(&["a=/a", "b=/b"]);
    bench.refused("/a");
    bench.found("2");
    assert_eq!(bench.told(), ["unreadable /a: not authorised: /a"]);
    assert!(!bench.source.is_complete());
    bench.pass(1000);
    bench.found("1");
    assert_eq!(bench.told(), ["complete 1|2"]);
}

#[test]
fn a_read_that_the_link_lost_is_repeated_without_a_word() {
    let mut bench = Bench::connected(&["a=/a"]);
    bench.unread(&SessionError::Disconnected);
    assert_eq!((bench.told(), bench.asks()), (NONE, NONE));
    bench.pass(1000);
    bench.found("1");
    assert_eq!(bench.told(), ["complete 1"]);
}

#[test]
fn no_mirrors_are_complete_at_once() {
    let mut bench = Bench::connected(&[]);
    assert_eq!((bench.told(), bench.asks()), (vec!["complete ".to_owned()], NONE));
}

#[test]
fn an_answer_to_nobody_is_no_panic() {
    let mut bench = Bench::connected(&["a=/a", "t/=/t/"]);
    let requests = bench.asked.clone();
    for request in &requests {
        for unit in 0..3 {
            let mut astray = request.clone();
            astray.unit = unit;
            bench.deliver(&astray, Outcome::List(Ok(vec!["x".to_owned()])));
            bench.deliver(&astray, Outcome::Read(Vec::new()));
        }
    }
    bench.told();
    assert!(!bench.source.is_complete());
}
