//! The farm view against scripted answers, and against an in-memory server.

mod fixture;
mod storm;

use super::*;
use crate::model::Record;
use crate::model::Value;
use crate::session::cache::{READS_MAX as HOSTS_MAX, REQUESTS_MAX as READS_MAX};
use crate::session::{Change, Watch};
use fixture::{Ask, Fixture, Outcome, forbidden, hint, host, malformed, no_node, path, record};
use serde_json::json;
use std::time::Duration;

#[test]
fn nothing_is_complete_before_every_host_was_read() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    assert_eq!(fixture.asks(), ["arm /db"]);
    fixture.answer(|_| Outcome::Arm(Ok(())));
    assert_eq!(fixture.asks(), ["list /db No"]);
    fixture.list(&["a", "b"]);
    assert_eq!(fixture.asks(), ["read /db/a /db/b No"]);
    fixture.step(hint("/db/c", Change::Created));
    fixture.read_together(&[("a", json!({"x": "y"})), ("b", json!({}))]);
    assert_eq!(
        (fixture.take_news(), fixture.view.state()),
        (vec!["changed a".to_owned(), "changed b".to_owned()], State::Loading)
    );
    fixture.read("c", &json!({}));
    assert_eq!(fixture.take_news(), ["changed c", "complete"]);
    assert_eq!(fixture.farm(), json!({"a": {"x": "y"}, "b": {}, "c": {}}));
    assert_eq!(fixture.view.deadline(), None);
}

#[test]
fn hosts_without_a_readable_record_are_listed() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db/a", Change::Data));
    fixture.read_as("a", Err(malformed()));
    fixture.step(hint("/db/c", Change::Created));
    fixture.read_as("c", Err(malformed()));
    let is_readable = |fixture: &Fixture| -> Vec<bool> {
        fixture.view.hosts().map(|(_, record)| record.is_some()).collect()
    };
    assert_eq!(is_readable(&fixture), [false, true, false]);
    // Its record is as it was before, which is no news.
    fixture.step(hint("/db/a", Change::Data));
    fixture.read("a", &json!({"n": 1}));
    assert_eq!(is_readable(&fixture), [true, true, false]);
}

#[test]
fn hosts_that_are_not_to_be_read_are_their_names() {
    let mut fixture = Fixture::parsing(Parse::None);
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&["a", "b"]);
    assert_eq!(fixture.take_news(), ["changed a", "changed b", "complete"]);
    fixture.step(hint("/db/a", Change::Data));
    fixture.step(hint("/db/c", Change::Created));
    fixture.step(hint("/db/b", Change::Deleted));
    assert_eq!(fixture.take_news(), ["changed c", "changed b"]);
    assert!(fixture.asked.is_empty());
    assert_eq!(fixture.farm(), json!({"a": {}, "c": {}}));
    assert_eq!(fixture.view.hosts().filter(|(_, record)| record.is_some()).count(), 2);
}

#[test]
fn an_empty_farm_is_complete() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&[]);
    assert_eq!(fixture.take_news(), ["complete"]);
}

#[test]
fn a_host_that_vanishes_between_list_and_read_is_simply_gone() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&["a", "b"]);
    fixture.answer(|_| {
        let gone = Err(Unreadable::Refused(no_node("/db/b")));
        Outcome::Read(vec![(host("a"), Ok(Record::new())), (host("b"), gone)])
    });
    assert_eq!(fixture.take_news(), ["changed a", "complete"]);
    assert_eq!(fixture.farm(), json!({"a": {}}));
}

#[test]
fn one_change_is_one_read_and_nothing_else() {
    for change in [Change::Data, Change::Created, Change::Deleted] {
        let mut fixture = Fixture::complete();
        fixture.step(hint("/db/a", change));
        assert_eq!(fixture.asks(), ["read /db/a No"], "{change:?}");
        fixture.read("a", &json!({"n": 9}));
        assert_eq!((fixture.take_news(), fixture.asks()), (vec!["changed a".to_owned()], vec![]));
        assert_eq!(fixture.farm(), json!({"a": {"n": 9}, "b": {"n": 2}}));
    }
}

#[test]
fn hints_about_anything_but_hosts_cost_nothing() {
    let mut fixture = Fixture::complete();
    for (at, change) in [
        ("/db", Change::Data),
        ("/db/a/below", Change::Created),
        ("/db/a/below/deeper", Change::Data),
        ("/dbx/a", Change::Created),
        ("/", Change::Children),
    ] {
        fixture.step(hint(at, change));
    }
    assert_eq!((fixture.asks(), fixture.take_news()), (vec![], vec![]));
}

#[test]
fn the_same_record_again_is_no_news() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db/a", Change::Data));
    fixture.read("a", &json!({"n": 1}));
    assert_eq!(fixture.take_news(), Vec::<String>::new());
}

#[test]
fn hosts_come_and_go() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db/c", Change::Created));
    fixture.read("c", &json!({}));
    fixture.step(hint("/db/a", Change::Deleted));
    fixture.read_as("a", Err(Unreadable::Refused(no_node("/db/a"))));
    assert_eq!(fixture.take_news(), ["changed c", "changed a"]);
    assert_eq!(fixture.farm(), json!({"b": {"n": 2}, "c": {}}));
    assert_eq!(fixture.asks(), Vec::<String>::new());
}

#[test]
fn hints_during_a_read_are_one_further_read() {
    let mut fixture = Fixture::complete();
    for _ in 0..3 {
        fixture.step(hint("/db/a", Change::Data));
    }
    assert_eq!(fixture.asks(), ["read /db/a No"]);
    fixture.read("a", &json!({"n": 5}));
    assert_eq!(fixture.asks(), ["read /db/a No"]);
    fixture.read("a", &json!({"n": 6}));
    assert_eq!(fixture.asks(), Vec::<String>::new());
    assert_eq!(fixture.farm()["a"], json!({"n": 6}));
}

#[test]
fn a_host_that_came_back_during_the_read_that_missed_it_never_goes() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db/a", Change::Deleted));
    fixture.step(hint("/db/a", Change::Created));
    fixture.read_as("a", Err(Unreadable::Refused(no_node("/db/a"))));
    assert_eq!(fixture.take_news(), Vec::<String>::new());
    fixture.read("a", &json!({"n": 1}));
    assert_eq!((fixture.take_news(), fixture.asks()), (vec![], vec![]));
}

#[test]
fn a_host_created_while_the_list_is_under_way_is_not_lost() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.step(hint("/db/late", Change::Created));
    fixture.list(&["a"]);
    assert_eq!(fixture.asks(), ["read /db/a /db/late No"]);
}

#[test]
fn a_host_that_seemed_gone_and_may_be_back_is_not_read_yet() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&["a"]);
    fixture.step(hint("/db/a", Change::Created));
    fixture.read_as("a", Err(Unreadable::Refused(no_node("/db/a"))));
    assert_eq!(fixture.view.state(), State::Loading);
    fixture.read("a", &json!({}));
    assert_eq!(fixture.take_news(), ["changed a", "complete"]);
}

#[test]
fn every_new_connection_reads_everything_again_and_drops_what_has_gone() {
    for (is_new, first) in [(false, "list /db No"), (true, "arm /db")] {
        let mut fixture = Fixture::complete();
        fixture.step(Event::away());
        assert_eq!(fixture.view.state(), State::Disconnected);
        assert_eq!(fixture.farm().as_object().unwrap().len(), 2);
        fixture.step(Event::connected(is_new));
        assert_eq!(fixture.asks(), [first]);
        if is_new {
            fixture.answer(|_| Outcome::Arm(Ok(())));
        }
        fixture.list(&["b", "c"]);
        assert_eq!(
            (fixture.take_news(), fixture.view.state()),
            (vec!["changed a".to_owned()], State::Loading)
        );
        fixture.read_together(&[("b", json!({"n": 2})), ("c", json!({}))]);
        assert_eq!(fixture.take_news(), ["changed c", "complete"]);
    }
}

#[test]
fn answers_of_an_earlier_connection_are_ignored() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db/a", Change::Data));
    let late = fixture.open_read("a");
    fixture.step(Event::away());
    fixture.step(Event::connected(false));
    fixture.list(&["a", "b"]);
    fixture.deliver(&late, |_| Outcome::Read(vec![(host("a"), Ok(record(&json!({"old": 1}))))]));
    assert_eq!(fixture.take_news(), Vec::<String>::new());
    fixture.read_together(&[("a", json!({"n": 1})), ("b", json!({"n": 2}))]);
    assert_eq!(fixture.take_news(), ["complete"]);
}

#[test]
fn unreadable_hosts_keep_their_record_and_are_reported_once() {
    for (why, news) in [
        (malformed as fn() -> Unreadable, "unreadable a: it holds no record"),
        (|| forbidden("/db/a"), "unreadable a: not authorised: /db/a"),
    ] {
        let mut fixture = Fixture::complete();
        for round in 0..3 {
            fixture.step(hint("/db/a", Change::Data));
            fixture.read_as("a", Err(why()));
            let expected = if round == 0 { vec![news.to_owned()] } else { vec![] };
            assert_eq!(fixture.take_news(), expected);
        }
        assert_eq!(fixture.farm()["a"], json!({"n": 1}));
        fixture.step(hint("/db/a", Change::Data));
        fixture.read("a", &json!({"n": 3}));
        assert_eq!(fixture.take_news(), ["readable a", "changed a"]);
        assert_eq!(fixture.view.deadline(), None);
    }
}

#[test]
fn an_unreadable_host_without_a_record_is_left_out_and_delays_nothing() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&["a", "b"]);
    fixture.answer(|_| {
        let unreadable = [(host("a"), Err(malformed())), (host("b"), Err(forbidden("/db/b")))];
        Outcome::Read(unreadable.into_iter().collect())
    });
    assert_eq!(fixture.take_news().last().map(String::as_str), Some("complete"));
    assert_eq!(fixture.farm(), json!({}));
}

#[test]
fn a_forbidden_host_is_looked_at_again_with_pauses_of_at_most_half_a_minute() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db/a", Change::Data));
    fixture.read_as("a", Err(forbidden("/db/a")));
    for step_s in [1, 2, 4, 8, 16, 30, 30, 30] {
        let deadline = fixture.view.deadline().unwrap();
        assert!(deadline <= fixture.now + Duration::from_secs(step_s), "at most {step_s} s");
        fixture.step(Event::Tick);
        assert_eq!(fixture.asks(), Vec::<String>::new(), "too early");
        fixture.now = deadline;
        fixture.step(Event::Tick);
        fixture.read_as("a", Err(forbidden("/db/a")));
    }
    fixture.now = fixture.view.deadline().unwrap();
    fixture.step(Event::Tick);
    fixture.read("a", &json!({"n": 7}));
    assert_eq!(fixture.take_news()[1..], ["readable a", "changed a"]);
    assert_eq!(fixture.view.deadline(), None);
}

#[test]
fn a_transient_failure_is_repeated_and_nothing_is_complete_before() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&["a"]);
    fixture.read_as("a", Err(Unreadable::Refused(SessionError::Disconnected)));
    assert_eq!((fixture.take_news(), fixture.view.state()), (vec![], State::Loading));
    fixture.now = fixture.view.deadline().unwrap();
    fixture.step(Event::Tick);
    fixture.read("a", &json!({}));
    assert_eq!(fixture.take_news(), ["changed a", "complete"]);
}

#[test]
fn a_missing_farm_is_waited_for() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!((fixture.take_news(), fixture.asks()), (vec!["missing".to_owned()], vec![]));
    fixture.step(hint("/db", Change::Created));
    fixture.step(hint("/db/a", Change::Created));
    fixture.list(&[]);
    assert_eq!(fixture.view.state(), State::Loading);
    fixture.read("a", &json!({}));
    assert_eq!(fixture.take_news(), ["changed a", "complete"]);
}

#[test]
fn a_farm_that_goes_keeps_its_last_hosts_until_it_is_back() {
    let mut fixture = Fixture::complete();
    fixture.step(hint("/db", Change::Deleted));
    fixture.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!(fixture.take_news(), ["missing"]);
    assert_eq!(fixture.farm().as_object().unwrap().len(), 2);
    fixture.step(hint("/db", Change::Created));
    fixture.list(&["b"]);
    fixture.read("b", &json!({"n": 2}));
    assert_eq!(fixture.take_news(), ["changed a", "complete"]);
}

#[test]
fn a_farm_created_while_it_was_found_missing_is_listed_again() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.step(hint("/db", Change::Created));
    fixture.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!(fixture.asks(), ["list /db No"]);
}

#[test]
fn a_farm_that_may_not_be_listed_is_reported_once_and_tried_again() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    for round in 0..3 {
        fixture.answer(|_| Outcome::List(Err(SessionError::NoAuth(path("/db")))));
        let expected = if round == 0 { vec!["refused not authorised: /db"] } else { vec![] };
        assert_eq!(fixture.take_news(), expected);
        fixture.now = fixture.view.deadline().unwrap();
        fixture.step(Event::Tick);
    }
    fixture.list(&[]);
    assert_eq!(fixture.take_news(), ["complete"]);
}

#[test]
fn an_old_server_gets_a_watch_per_host() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    let arm = fixture.asked.remove(0);
    // The server closes the connection with its answer, and the event may come first.
    fixture.step(Event::away());
    fixture.deliver(&arm, |_| Outcome::Arm(Err(SessionError::Unsupported)));
    fixture.step(Event::connected(false));
    assert_eq!(fixture.asks(), ["list /db Yes"]);
    fixture.list(&["a"]);
    fixture.read("a", &json!({}));
    fixture.step(hint("/db", Change::Children));
    fixture.list(&["a", "b"]);
    assert_eq!(fixture.asks(), ["read /db/b Yes"], "what is known is not read again");
    fixture.read("b", &json!({}));
    fixture.step(Event::connected(true));
    assert_eq!(fixture.asks(), ["arm /db"], "a new session may be carried by a newer server");
}

#[test]
fn an_old_server_waits_for_a_missing_farm_too() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Err(SessionError::Unsupported)));
    fixture.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!(fixture.asks(), ["await /db"]);
    fixture.answer(|_| Outcome::Await(Ok(false)));
    assert_eq!(fixture.asks(), Vec::<String>::new());
    fixture.step(hint("/db", Change::Created));
    assert_eq!(fixture.asks(), ["list /db Yes"]);
}

#[test]
fn names_that_no_host_can_have_are_skipped_and_reported_once() {
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    // The second is a name that a host may have, but not here.
    let (long, at_most) = ("x".repeat(5000), "y".repeat(4095));
    fixture.list(&["a", &long, &at_most]);
    fixture.read("a", &json!({}));
    let news = fixture.take_news();
    assert!(news[0].starts_with("skipped \"xxx"), "{news:?}");
    assert!(news[1].starts_with("skipped \"yyy") && news[3] == "complete", "{news:?}");
    fixture.step(Event::Refresh);
    fixture.list(&["a", &long, &at_most]);
    fixture.read("a", &json!({}));
    assert_eq!(fixture.take_news(), ["complete"]);
}

#[test]
fn a_farm_with_too_many_hosts_is_refused_and_keeps_its_last_records() {
    let names: Vec<String> = (0..=FARM_HOSTS_MAX).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut fixture = Fixture::complete();
    let both = json!({"a": {"n": 1}, "b": {"n": 2}});
    for _ in 0..2 {
        fixture.step(Event::Refresh);
        fixture.list(&names);
        assert_eq!((fixture.asks(), fixture.view.state()), (Vec::new(), State::Refused));
        assert_eq!(fixture.farm(), both);
    }
    assert_eq!(fixture.take_news()[0], "refused more than 100000 znodes");
    let refusal = fixture.view.refusal().map(ToString::to_string);
    assert_eq!(refusal.as_deref(), Some("more than 100000 znodes below /db"));
    // A host has gone meanwhile.
    fixture.step(Event::Refresh);
    fixture.list(&["b", "c"]);
    fixture.read_together(&[("b", json!({"n": 2})), ("c", json!({"n": 3}))]);
    assert_eq!(fixture.take_news().last().unwrap(), "complete");
    assert_eq!(fixture.farm(), json!({"b": {"n": 2}, "c": {"n": 3}}));
    assert!(fixture.view.refusal().is_none());
}

#[test]
fn events_about_hosts_that_nobody_lists_are_bounded() {
    let names: Vec<String> = (0..FARM_HOSTS_MAX).map(|number| format!("h{number}")).collect();
    let mut fixture = Fixture::new();
    fixture.step(Event::connected(true));
    fixture.answer(|_| Outcome::Arm(Ok(())));
    fixture.list(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for number in 0..10 {
        fixture.step(hint(&format!("/db/x{number}"), Change::Created));
    }
    assert_eq!(fixture.take_news(), ["refused more than 100000 znodes"]);
}

#[test]
fn refresh_reads_everything_again() {
    let mut fixture = Fixture::complete();
    fixture.step(Event::Refresh);
    assert_eq!(
        (fixture.asks(), fixture.view.state()),
        (vec!["list /db No".to_owned()], State::Loading)
    );
    fixture.list(&["a", "b"]);
    fixture.read_together(&[("a", json!({"n": 1})), ("b", json!({"n": 2}))]);
    assert_eq!(fixture.take_news(), ["complete"]);
}

#[test]
fn a_large_farm_is_read_many_at_a_time_but_not_all_at_once() {
    for (count, arm) in [(5000, Ok(())), (1000, Err(SessionError::Unsupported))] {
        let names: Vec<String> = (0..count).map(|number| format!("h{number:04}")).collect();
        let mut fixture = Fixture::new();
        fixture.step(Event::connected(true));
        fixture.answer(|_| Outcome::Arm(arm));
        fixture.list(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut reads = 0;
        while !fixture.asked.is_empty() {
            assert!(fixture.asked.len() <= READS_MAX);
            fixture.answer(|ask| match ask {
                Ask::Read(hosts, watch) => {
                    assert!(hosts.len() <= if *watch == Watch::No { HOSTS_MAX } else { 1 });
                    reads += hosts.len();
                    Outcome::Read(
                        hosts.iter().map(|(name, _)| (name.clone(), Ok(Record::new()))).collect(),
                    )
                }
                other => panic!("{other:?}"),
            });
        }
        assert_eq!((reads, fixture.view.farm().len()), (count, count));
        assert_eq!(fixture.view.state(), State::Complete);
    }
}

#[test]
fn a_hint_about_one_of_many_that_are_being_read_is_one_further_read() {
    let mut fixture = Fixture::complete();
    fixture.step(Event::Refresh);
    fixture.list(&["a", "b"]);
    fixture.step(hint("/db/b", Change::Deleted));
    fixture.step(hint("/db/b", Change::Created));
    // The read finds `a` and misses `b`, so only `b` is read again.
    fixture.answer(|_| {
        let gone = Err(Unreadable::Refused(no_node("/db/b")));
        Outcome::Read(vec![(host("a"), Ok(record(&json!({"n": 1})))), (host("b"), gone)])
    });
    assert_eq!((fixture.take_news(), fixture.asks()), (vec![], vec!["read /db/b No".to_owned()]));
    fixture.read("b", &json!({"n": 2}));
    assert_eq!(fixture.take_news(), ["complete"]);
}
