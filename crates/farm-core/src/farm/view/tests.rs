//! The farm view by tables, and against a server in memory.

mod bench;
mod storm;

use super::*;
use crate::model::Value;
use crate::session::cache::{READS_MAX as HOSTS_MAX, REQUESTS_MAX as READS_MAX};
use crate::session::{Change, Watch};
use bench::{Ask, Bench, Outcome, forbidden, hint, host, malformed, no_node, path, record};
use serde_json::json;
use std::time::Duration;

#[test]
fn nothing_is_complete_before_every_host_was_read() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    assert_eq!(bench.asks(), ["arm /db"]);
    bench.answer(|_| Outcome::Arm(Ok(())));
    assert_eq!(bench.asks(), ["list /db No"]);
    bench.list(&["a", "b"]);
    assert_eq!(bench.asks(), ["read /db/a /db/b No"]);
    bench.step(hint("/db/c", Change::Created));
    bench.read_together(&[("a", json!({"x": "y"})), ("b", json!({}))]);
    assert_eq!(
        (bench.take_told(), bench.view.state()),
        (vec!["changed a".to_owned(), "changed b".to_owned()], State::Loading)
    );
    bench.read("c", &json!({}));
    assert_eq!(bench.take_told(), ["changed c", "complete"]);
    assert_eq!(bench.farm(), json!({"a": {"x": "y"}, "b": {}, "c": {}}));
    assert_eq!(bench.view.deadline(), None);
}

#[test]
fn hosts_without_a_readable_record_are_there_all_the_same() {
    let mut bench = Bench::complete();
    bench.step(hint("/db/a", Change::Data));
    bench.read_as("a", Err(malformed()));
    bench.step(hint("/db/c", Change::Created));
    bench.read_as("c", Err(malformed()));
    let is_readable = |bench: &Bench| -> Vec<bool> {
        bench.view.hosts().map(|(_, record)| record.is_some()).collect()
    };
    assert_eq!(is_readable(&bench), [false, true, false]);
    // Mended as it was before, which is no news.
    bench.step(hint("/db/a", Change::Data));
    bench.read("a", &json!({"n": 1}));
    assert_eq!(is_readable(&bench), [true, true, false]);
}

#[test]
fn an_empty_farm_is_complete() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.list(&[]);
    assert_eq!(bench.take_told(), ["complete"]);
}

#[test]
fn a_host_that_vanishes_between_list_and_read_is_simply_gone() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.list(&["a", "b"]);
    bench.answer(|_| {
        let gone = Err(Unreadable::Refused(no_node("/db/b")));
        Outcome::Read(vec![(host("a"), Ok(Record::new())), (host("b"), gone)])
    });
    assert_eq!(bench.take_told(), ["changed a", "complete"]);
    assert_eq!(bench.farm(), json!({"a": {}}));
}

#[test]
fn one_change_is_one_read_and_nothing_else() {
    for change in [Change::Data, Change::Created, Change::Deleted] {
        let mut bench = Bench::complete();
        bench.step(hint("/db/a", change));
        assert_eq!(bench.asks(), ["read /db/a No"], "{change:?}");
        bench.read("a", &json!({"n": 9}));
        assert_eq!((bench.take_told(), bench.asks()), (vec!["changed a".to_owned()], vec![]));
        assert_eq!(bench.farm(), json!({"a": {"n": 9}, "b": {"n": 2}}));
    }
}

#[test]
fn hints_about_anything_but_hosts_cost_nothing() {
    let mut bench = Bench::complete();
    for (at, change) in [
        ("/db", Change::Data),
        ("/db/a/below", Change::Created),
        ("/db/a/below/deeper", Change::Data),
        ("/dbx/a", Change::Created),
        ("/", Change::Children),
    ] {
        bench.step(hint(at, change));
    }
    assert_eq!((bench.asks(), bench.take_told()), (vec![], vec![]));
}

#[test]
fn the_same_record_again_is_no_news() {
    let mut bench = Bench::complete();
    bench.step(hint("/db/a", Change::Data));
    bench.read("a", &json!({"n": 1}));
    assert_eq!(bench.take_told(), Vec::<String>::new());
}

#[test]
fn hosts_come_and_go() {
    let mut bench = Bench::complete();
    bench.step(hint("/db/c", Change::Created));
    bench.read("c", &json!({}));
    bench.step(hint("/db/a", Change::Deleted));
    bench.read_as("a", Err(Unreadable::Refused(no_node("/db/a"))));
    assert_eq!(bench.take_told(), ["changed c", "changed a"]);
    assert_eq!(bench.farm(), json!({"b": {"n": 2}, "c": {}}));
    assert_eq!(bench.asks(), Vec::<String>::new());
}

#[test]
fn a_hint_during_a_read_is_one_further_read_however_many_there_are() {
    let mut bench = Bench::complete();
    for _ in 0..3 {
        bench.step(hint("/db/a", Change::Data));
    }
    assert_eq!(bench.asks(), ["read /db/a No"]);
    bench.read("a", &json!({"n": 5}));
    assert_eq!(bench.asks(), ["read /db/a No"]);
    bench.read("a", &json!({"n": 6}));
    assert_eq!(bench.asks(), Vec::<String>::new());
    assert_eq!(bench.farm()["a"], json!({"n": 6}));
}

#[test]
fn a_host_that_came_back_during_the_read_that_missed_it_never_goes() {
    let mut bench = Bench::complete();
    bench.step(hint("/db/a", Change::Deleted));
    bench.step(hint("/db/a", Change::Created));
    bench.read_as("a", Err(Unreadable::Refused(no_node("/db/a"))));
    assert_eq!(bench.take_told(), Vec::<String>::new());
    bench.read("a", &json!({"n": 1}));
    assert_eq!((bench.take_told(), bench.asks()), (vec![], vec![]));
}

#[test]
fn a_host_created_while_the_list_is_under_way_is_not_lost() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.step(hint("/db/late", Change::Created));
    bench.list(&["a"]);
    assert_eq!(bench.asks(), ["read /db/a /db/late No"]);
}

#[test]
fn a_host_that_seemed_gone_and_may_be_back_is_not_read_yet() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.list(&["a"]);
    bench.step(hint("/db/a", Change::Created));
    bench.read_as("a", Err(Unreadable::Refused(no_node("/db/a"))));
    assert_eq!(bench.view.state(), State::Loading);
    bench.read("a", &json!({}));
    assert_eq!(bench.take_told(), ["changed a", "complete"]);
}

#[test]
fn every_new_contact_reads_everything_again_and_drops_what_has_gone() {
    for (is_new, first) in [(false, "list /db No"), (true, "arm /db")] {
        let mut bench = Bench::complete();
        bench.step(Event::away());
        assert_eq!(bench.view.state(), State::Away);
        assert_eq!(bench.farm().as_object().unwrap().len(), 2);
        bench.step(Event::connected(is_new));
        assert_eq!(bench.asks(), [first]);
        if is_new {
            bench.answer(|_| Outcome::Arm(Ok(())));
        }
        bench.list(&["b", "c"]);
        assert_eq!(
            (bench.take_told(), bench.view.state()),
            (vec!["changed a".to_owned()], State::Loading)
        );
        bench.read_together(&[("b", json!({"n": 2})), ("c", json!({}))]);
        assert_eq!(bench.take_told(), ["changed c", "complete"]);
    }
}

#[test]
fn answers_of_an_earlier_contact_are_ignored() {
    let mut bench = Bench::complete();
    bench.step(hint("/db/a", Change::Data));
    let late = bench.open_read("a");
    bench.step(Event::away());
    bench.step(Event::connected(false));
    bench.list(&["a", "b"]);
    bench.deliver(&late, |_| Outcome::Read(vec![(host("a"), Ok(record(&json!({"old": 1}))))]));
    assert_eq!(bench.take_told(), Vec::<String>::new());
    bench.read_together(&[("a", json!({"n": 1})), ("b", json!({"n": 2}))]);
    assert_eq!(bench.take_told(), ["complete"]);
}

#[test]
fn unreadable_hosts_keep_their_record_and_are_told_of_once() {
    for (why, told) in [
        (malformed as fn() -> Unreadable, "unreadable a: it holds no record"),
        (|| forbidden("/db/a"), "unreadable a: not authorised: /db/a"),
    ] {
        let mut bench = Bench::complete();
        for round in 0..3 {
            bench.step(hint("/db/a", Change::Data));
            bench.read_as("a", Err(why()));
            let expected = if round == 0 { vec![told.to_owned()] } else { vec![] };
            assert_eq!(bench.take_told(), expected);
        }
        assert_eq!(bench.farm()["a"], json!({"n": 1}));
        bench.step(hint("/db/a", Change::Data));
        bench.read("a", &json!({"n": 3}));
        assert_eq!(bench.take_told(), ["changed a"]);
        assert_eq!(bench.view.deadline(), None);
    }
}

#[test]
fn an_unreadable_host_without_a_record_is_left_out_and_holds_nothing_up() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.list(&["a", "b"]);
    bench.answer(|_| {
        let unreadable = [(host("a"), Err(malformed())), (host("b"), Err(forbidden("/db/b")))];
        Outcome::Read(unreadable.into_iter().collect())
    });
    assert_eq!(bench.take_told().last().map(String::as_str), Some("complete"));
    assert_eq!(bench.farm(), json!({}));
}

#[test]
fn a_forbidden_host_is_looked_at_again_with_growing_pauses() {
    let mut bench = Bench::complete();
    bench.step(hint("/db/a", Change::Data));
    bench.read_as("a", Err(forbidden("/db/a")));
    for step_s in [1, 2, 4, 8] {
        let deadline = bench.view.deadline().unwrap();
        assert!(deadline <= bench.now + Duration::from_secs(step_s), "at most {step_s} s");
        bench.step(Event::Tick);
        assert_eq!(bench.asks(), Vec::<String>::new(), "too early");
        bench.now = deadline;
        bench.step(Event::Tick);
        bench.read_as("a", Err(forbidden("/db/a")));
    }
    bench.now = bench.view.deadline().unwrap();
    bench.step(Event::Tick);
    bench.read("a", &json!({"n": 7}));
    assert_eq!(bench.take_told().last().unwrap(), "changed a");
    assert_eq!(bench.view.deadline(), None);
}

#[test]
fn a_read_that_failed_in_passing_is_repeated_and_nothing_is_complete_before() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.list(&["a"]);
    bench.read_as("a", Err(Unreadable::Refused(SessionError::Disconnected)));
    assert_eq!((bench.take_told(), bench.view.state()), (vec![], State::Loading));
    bench.now = bench.view.deadline().unwrap();
    bench.step(Event::Tick);
    bench.read("a", &json!({}));
    assert_eq!(bench.take_told(), ["changed a", "complete"]);
}

#[test]
fn a_missing_farm_is_waited_for() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!((bench.take_told(), bench.asks()), (vec!["missing".to_owned()], vec![]));
    assert_eq!(bench.view.deadline(), None);
    bench.step(hint("/db", Change::Created));
    bench.step(hint("/db/a", Change::Created));
    bench.list(&[]);
    assert_eq!(bench.view.state(), State::Loading);
    bench.read("a", &json!({}));
    assert_eq!(bench.take_told(), ["changed a", "complete"]);
}

#[test]
fn a_farm_that_goes_keeps_its_last_hosts_until_it_is_back() {
    let mut bench = Bench::complete();
    bench.step(hint("/db", Change::Deleted));
    bench.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!(bench.take_told(), ["missing"]);
    assert_eq!(bench.farm().as_object().unwrap().len(), 2);
    bench.step(hint("/db", Change::Created));
    bench.list(&["b"]);
    bench.read("b", &json!({"n": 2}));
    assert_eq!(bench.take_told(), ["changed a", "complete"]);
}

#[test]
fn a_farm_created_while_it_was_found_missing_is_listed_again() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    bench.step(hint("/db", Change::Created));
    bench.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!(bench.asks(), ["list /db No"]);
}

#[test]
fn a_farm_that_must_not_be_listed_is_told_of_once_and_tried_again() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    for round in 0..3 {
        bench.answer(|_| Outcome::List(Err(SessionError::NoAuth(path("/db")))));
        let expected = if round == 0 { vec!["refused not authorised: /db"] } else { vec![] };
        assert_eq!(bench.take_told(), expected);
        bench.now = bench.view.deadline().unwrap();
        bench.step(Event::Tick);
    }
    bench.list(&[]);
    assert_eq!(bench.take_told(), ["complete"]);
}

#[test]
fn an_old_server_gets_a_watch_per_host() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    let arm = bench.asked.remove(0);
    // The server hangs up with its answer, and the news of it may be quicker.
    bench.step(Event::away());
    bench.deliver(&arm, |_| Outcome::Arm(Err(SessionError::Unsupported)));
    bench.step(Event::connected(false));
    assert_eq!(bench.asks(), ["list /db Yes"]);
    bench.list(&["a"]);
    bench.read("a", &json!({}));
    bench.step(hint("/db", Change::Children));
    bench.list(&["a", "b"]);
    assert_eq!(bench.asks(), ["read /db/b Yes"], "what is known is not read again");
    bench.read("b", &json!({}));
    bench.step(Event::connected(true));
    assert_eq!(bench.asks(), ["arm /db"], "a new session may be carried by a newer server");
}

#[test]
fn without_the_one_watch_a_missing_farm_is_waited_for_too() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Err(SessionError::Unsupported)));
    bench.answer(|_| Outcome::List(Err(no_node("/db"))));
    assert_eq!(bench.asks(), ["await /db"]);
    bench.answer(|_| Outcome::Await(Ok(false)));
    assert_eq!(bench.asks(), Vec::<String>::new());
    bench.step(hint("/db", Change::Created));
    assert_eq!(bench.asks(), ["list /db Yes"]);
}

#[test]
fn names_that_no_host_can_have_are_skipped_and_told_of_once() {
    let mut bench = Bench::new();
    bench.step(Event::connected(true));
    bench.answer(|_| Outcome::Arm(Ok(())));
    let long = "x".repeat(300);
    bench.list(&["a", &long]);
    bench.read("a", &json!({}));
    let told = bench.take_told();
    assert!(told[0].starts_with("skipped \"xxx") && told[2] == "complete", "{told:?}");
    bench.step(Event::Refresh);
    bench.list(&["a", &long]);
    bench.read("a", &json!({}));
    assert_eq!(bench.take_told(), ["complete"]);
}

#[test]
fn refresh_reads_everything_again() {
    let mut bench = Bench::complete();
    bench.step(Event::Refresh);
    assert_eq!(
        (bench.asks(), bench.view.state()),
        (vec!["list /db No".to_owned()], State::Loading)
    );
    bench.list(&["a", "b"]);
    bench.read_together(&[("a", json!({"n": 1})), ("b", json!({"n": 2}))]);
    assert_eq!(bench.take_told(), ["complete"]);
}

#[test]
fn a_large_farm_is_read_many_at_a_time_but_not_all_at_once() {
    for (count, arm) in [(5000, Ok(())), (1000, Err(SessionError::Unsupported))] {
        let names: Vec<String> = (0..count).map(|number| format!("h{number:04}")).collect();
        let mut bench = Bench::new();
        bench.step(Event::connected(true));
        bench.answer(|_| Outcome::Arm(arm));
        bench.list(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut reads = 0;
        while !bench.asked.is_empty() {
            assert!(bench.asked.len() <= READS_MAX);
            bench.answer(|ask| match ask {
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
        assert_eq!((reads, bench.view.farm().len()), (count, count));
        assert_eq!(bench.view.state(), State::Complete);
    }
}

#[test]
fn a_hint_about_one_of_many_that_are_being_read_is_one_further_read() {
    let mut bench = Bench::complete();
    bench.step(Event::Refresh);
    bench.list(&["a", "b"]);
    bench.step(hint("/db/b", Change::Deleted));
    bench.step(hint("/db/b", Change::Created));
    // It missed the one and not the other, and says so of that one alone.
    bench.answer(|_| {
        let gone = Err(Unreadable::Refused(no_node("/db/b")));
        Outcome::Read(vec![(host("a"), Ok(record(&json!({"n": 1})))), (host("b"), gone)])
    });
    assert_eq!((bench.take_told(), bench.asks()), (vec![], vec!["read /db/b No".to_owned()]));
    bench.read("b", &json!({"n": 2}));
    assert_eq!(bench.take_told(), ["complete"]);
}
