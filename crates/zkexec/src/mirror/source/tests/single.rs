//! Mirrors of single znodes.

use super::super::*;
use super::fixture::{Fixture, away, bytes, connected};
use farm_core::session::cache::Outcome;
use farm_core::session::{Change, SessionError};

const NONE: Vec<String> = Vec::new();

#[test]
fn nothing_is_complete_before_everything_was_read() {
    let mut fixture = Fixture::connected(&["a=/a", "b=/b"]);
    assert_eq!(fixture.request_names(), ["read /a", "read /b"]);
    fixture.answer_read("1");
    assert_eq!((fixture.take_news(), fixture.source.is_complete()), (NONE, false));
    fixture.answer_read("");
    assert_eq!(fixture.take_news(), ["complete 1|"]);
    assert!(fixture.source.is_complete() && fixture.request_names().is_empty());
}

#[test]
fn one_change_is_one_read_and_no_change_is_no_news() {
    let mut fixture = Fixture::connected(&["a=/a", "b=/b"]);
    fixture.answer_read("1");
    fixture.answer_read("2");
    fixture.take_news();
    fixture.hint("/a", Change::Data);
    assert_eq!((fixture.request_names(), fixture.take_news()), (vec!["read /a".to_owned()], NONE));
    fixture.answer_read("3");
    assert_eq!(
        (fixture.request_names(), fixture.take_news()),
        (NONE, vec!["changed 3|2".to_owned()])
    );
    fixture.hint("/a", Change::Data);
    fixture.answer_read("3");
    assert_eq!(fixture.take_news(), NONE);
    // An empty znode is not a deleted one.
    fixture.hint("/b", Change::Data);
    fixture.answer_read("");
    assert_eq!(fixture.take_news(), ["changed 3|"]);
}

#[test]
fn hints_about_other_znodes_cause_no_read() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    fixture.answer_read("1");
    for (at, change) in [
        ("/", Change::Children),
        ("/a", Change::Children),
        ("/a/b", Change::Created),
        ("/ab", Change::Data),
    ] {
        fixture.hint(at, change);
    }
    assert_eq!(fixture.request_names(), NONE);
}

#[test]
fn two_mirrors_of_one_znode_cost_one_read() {
    let mut fixture = Fixture::connected(&["a=/z", "b=/z,optional"]);
    assert_eq!(fixture.request_names(), ["read /z"]);
    fixture.answer_missing();
    assert_eq!(fixture.take_news(), ["missing /z"]);
    fixture.hint("/z", Change::Created);
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), ["complete 1|1"]);
}

#[test]
fn a_missing_znode_is_reported_once_and_waited_for() {
    let mut fixture = Fixture::connected(&["a=/a", "b=/b"]);
    fixture.answer_read("1");
    fixture.answer_missing();
    assert_eq!(
        (fixture.take_news(), fixture.source.is_complete()),
        (vec!["missing /b".to_owned()], false)
    );
    fixture.step(Event::Refresh);
    fixture.answer_read("1");
    fixture.answer_missing();
    fixture.step(away());
    fixture.step(connected(true));
    fixture.answer_read("1");
    fixture.answer_missing();
    fixture.hint("/a", Change::Data);
    fixture.answer_read("2");
    assert_eq!(fixture.take_news(), NONE);
    fixture.hint("/b", Change::Created);
    fixture.answer_read("3");
    assert_eq!(fixture.take_news(), ["complete 2|3"]);
}

#[test]
fn an_optional_znode_may_come_and_go() {
    let mut fixture = Fixture::connected(&["a=/a,optional"]);
    fixture.answer_missing();
    assert_eq!(fixture.take_news(), ["complete -"]);
    fixture.hint("/a", Change::Created);
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), ["changed 1"]);
    fixture.hint("/a", Change::Deleted);
    fixture.answer_missing();
    // The bytes are the same, and the version is another one.
    assert_eq!(fixture.take_news(), ["deleted /a", "changed 1"]);
}

#[test]
fn what_is_deleted_keeps_its_last_bytes() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    fixture.answer_read("1");
    fixture.take_news();
    fixture.hint("/a", Change::Deleted);
    fixture.answer_missing();
    assert_eq!(fixture.take_news(), ["deleted /a", "changed 1"]);
    // The bytes outlast a new connection, and the deletion is reported once.
    fixture.step(away());
    fixture.step(connected(true));
    fixture.answer_missing();
    assert_eq!(fixture.take_news(), ["complete 1"]);
    // The znode comes back with its old bytes and its old version, then with others.
    fixture.hint("/a", Change::Created);
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), ["changed 1"]);
    fixture.hint("/a", Change::Deleted);
    fixture.answer_missing();
    fixture.hint("/a", Change::Created);
    fixture.answer_read("2");
    assert_eq!(fixture.take_news(), ["deleted /a", "changed 1", "changed 2"]);
}

#[test]
fn any_number_of_hints_during_a_read_cause_one_further_read() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    for _ in 0..3 {
        fixture.hint("/a", Change::Data);
    }
    assert_eq!(fixture.request_names(), ["read /a"]);
    fixture.answer_read("1");
    assert_eq!(
        (fixture.request_names(), fixture.take_news()),
        (vec!["read /a".to_owned()], vec!["complete 1".to_owned()])
    );
    fixture.answer_read("2");
    assert_eq!(
        (fixture.request_names(), fixture.take_news()),
        (NONE, vec!["changed 2".to_owned()])
    );
}

#[test]
fn a_missing_znode_with_a_newer_hint_is_read_again() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    fixture.answer_read("1");
    fixture.take_news();
    fixture.hint("/a", Change::Deleted);
    fixture.hint("/a", Change::Created);
    fixture.answer_missing();
    assert_eq!(fixture.take_news(), NONE);
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), NONE);
}

#[test]
fn every_connection_reads_everything_again() {
    let mut fixture = Fixture::connected(&["a=/a", "b=/b"]);
    fixture.answer_read("1");
    let stale = fixture.requests.remove(0);
    fixture.step(away());
    let old = fixture.read(bytes("old"), 0);
    fixture.deliver(&stale, Outcome::Read(vec![Ok(old)]));
    fixture.hint("/a", Change::Data);
    fixture.step(Event::Refresh);
    assert_eq!((fixture.request_names(), fixture.take_news()), (NONE, NONE));
    fixture.step(connected(false));
    assert_eq!(fixture.request_names(), ["read /a", "read /b"]);
    let old = fixture.read(bytes("old"), 0);
    fixture.deliver(&stale, Outcome::Read(vec![Ok(old)]));
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), NONE);
    fixture.answer_read("2");
    assert_eq!(fixture.take_news(), ["complete 1|2"]);
    fixture.step(away());
    assert!(!fixture.source.is_complete());
    assert!(fixture.source.content().is_some());
}

#[test]
fn a_refresh_is_a_read_that_begins_after_it() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    fixture.answer_read("1");
    fixture.take_news();
    fixture.hint("/a", Change::Data);
    let before = fixture.requests.remove(0);
    fixture.step(Event::Refresh);
    let earlier = fixture.read(bytes("2"), 0);
    fixture.deliver(&before, Outcome::Read(vec![Ok(earlier)]));
    assert_eq!((fixture.take_news(), fixture.source.is_complete()), (NONE, false));
    fixture.answer_read("3");
    assert_eq!(fixture.take_news(), ["complete 3"]);
}

#[test]
fn an_unreadable_znode_keeps_its_bytes_is_reported_once_and_tried_again() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    fixture.answer_read("1");
    fixture.take_news();
    fixture.hint("/a", Change::Data);
    fixture.answer_refused("/a");
    assert_eq!(fixture.take_news(), ["unreadable /a: not authorised: /a"]);
    let mut waited = Vec::new();
    for _ in 0..12 {
        let due = fixture.source.deadline().unwrap();
        waited.push(due.duration_since(fixture.now).as_secs_f64());
        fixture.now = due;
        fixture.step(Event::Tick);
        fixture.answer_refused("/a");
    }
    assert!(waited[0] <= 1.0 && waited[11] >= 15.0 && waited[11] <= 30.0, "{waited:?}");
    assert_eq!(fixture.take_news(), NONE);
    fixture.pass(30_000);
    fixture.answer_read("2");
    assert_eq!(fixture.take_news(), ["readable /a", "changed 2"]);
    // The next refusal is reported again.
    fixture.hint("/a", Change::Data);
    fixture.answer_refused("/a");
    assert_eq!(fixture.take_news().len(), 1);
    assert!(fixture.source.deadline().unwrap().duration_since(fixture.now).as_secs() <= 1);
}

#[test]
fn a_znode_that_was_never_readable_keeps_the_content_incomplete() {
    let mut fixture = Fixture::connected(&["a=/a", "b=/b"]);
    fixture.answer_refused("/a");
    fixture.answer_read("2");
    assert_eq!(fixture.take_news(), ["unreadable /a: not authorised: /a"]);
    assert!(!fixture.source.is_complete());
    fixture.pass(1000);
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), ["readable /a", "complete 1|2"]);
}

#[test]
fn a_read_that_a_disconnect_lost_is_repeated_silently() {
    let mut fixture = Fixture::connected(&["a=/a"]);
    fixture.answer_error(&SessionError::Disconnected);
    assert_eq!((fixture.take_news(), fixture.request_names()), (NONE, NONE));
    fixture.pass(1000);
    fixture.answer_read("1");
    assert_eq!(fixture.take_news(), ["complete 1"]);
}

#[test]
fn no_mirrors_are_complete_at_once() {
    let mut fixture = Fixture::connected(&[]);
    assert_eq!(
        (fixture.take_news(), fixture.request_names()),
        (vec!["complete ".to_owned()], NONE)
    );
}

#[test]
fn an_answer_to_no_request_does_not_panic() {
    let mut fixture = Fixture::connected(&["a=/a", "t/=/t/"]);
    let requests = fixture.requests.clone();
    for request in &requests {
        for unit in 0..3 {
            let mut astray = request.clone();
            astray.unit = unit;
            fixture.deliver(&astray, Outcome::List(Ok(vec!["x".to_owned()])));
            fixture.deliver(&astray, Outcome::Read(Vec::new()));
        }
    }
    fixture.take_news();
    assert!(!fixture.source.is_complete());
}
