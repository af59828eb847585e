//! Draining against an in-memory server with faults and other writers.

use super::*;
use crate::session::Action;
use crate::session::live::{Live, Post};
use farm_harness::{FakeServer, code, op, patience};
use serde_json::json;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(15);
const HOST: &str = "/db/h1";

/// A drainer with its session, and the news of it.
struct Fixture {
    drainer: Drainer,
    live: Live<Answer>,
    news: Vec<News>,
}

impl Fixture {
    fn at(server: &FakeServer, text: &str) -> Self {
        let live = Live::open(server.addr(), 1);
        Self { drainer: Drainer::new(drain(text)), live, news: Vec::new() }
    }

    fn step(&mut self, event: Event) {
        for action in self.drainer.step(Instant::now(), event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(self.live.session(), self.live.answers());
                }
                Action::Report(news) => self.news.push(news),
            }
        }
    }

    /// Runs until there is news.
    #[track_caller]
    fn next_news(&mut self) -> News {
        let give_up = Instant::now() + patience(TIMEOUT);
        loop {
            if !self.news.is_empty() {
                return self.news.remove(0);
            }
            assert!(Instant::now() < give_up, "no news: {:?}", self.drainer);
            let due = self.drainer.deadline().map_or(give_up, |due| due.min(give_up));
            match self.live.next(due) {
                Some(Post::Session(event)) => self.step(Event::Session(event)),
                Some(Post::Answer(answer)) => self.step(Event::Answered(answer)),
                None => self.step(Event::Tick),
            }
        }
    }

    #[track_caller]
    fn drain(&mut self) -> Drained {
        self.step(Event::Drain);
        match self.next_news() {
            News::Drained(drained) => drained,
            other => panic!("not drained but {other:?}"),
        }
    }

    #[track_caller]
    fn restore(&mut self) -> Restored {
        self.step(Event::Restore);
        match self.next_news() {
            News::Restored(restored) => restored,
            other => panic!("not restored but {other:?}"),
        }
    }
}

fn put(server: &FakeServer, record: &Value) {
    server.put(HOST, record.to_string().as_bytes());
}

fn record(server: &FakeServer) -> Value {
    serde_json::from_slice(&server.get(HOST).unwrap()).unwrap()
}

#[test]
fn the_field_keeps_its_type_and_gets_its_value_back() {
    let server = FakeServer::start();
    for (assignment, before, drained) in [
        ("on=0", json!({"on": "1", "x": 1}), json!({"on": "0", "x": 1})),
        ("on=0", json!({"on": 1}), json!({"on": 0})),
        ("on=0", json!({"on": true}), json!({"on": false})),
        ("on=off", json!({"on": true}), json!({"on": "off"})),
        ("on=0", json!({"on": null}), json!({"on": "0"})),
        ("on=0", json!({}), json!({"on": "0"})),
        ("on:=0", json!({"on": "1"}), json!({"on": 0})),
        ("a.b.c=0", json!({}), json!({"a": {"b": {"c": "0"}}})),
        ("a.b.c=0", json!({"a": {}}), json!({"a": {"b": {"c": "0"}}})),
        ("a.b=0", json!({"a": {"b": 7, "c": 8}}), json!({"a": {"b": 0, "c": 8}})),
        ("a:={\"n\":1}", json!({"a": {"o": 2}}), json!({"a": {"n": 1}})),
        ("a:=[]", json!({"a": [1, 2]}), json!({"a": []})),
        // Another writer has taken the host out of the rotation before.
        ("on=0", json!({"on": "0"}), json!({"on": "0"})),
    ] {
        put(&server, &before);
        let mut fixture = Fixture::at(&server, &format!("{HOST}:{assignment}"));
        let retyped = fixture.drain().retyped().map(|retyped| retyped.was);
        assert_eq!(retyped, (assignment == "on=off").then_some("bool"));
        assert_eq!(record(&server), drained, "{assignment}");
        assert_eq!(fixture.restore(), Restored::Back);
        assert_eq!(record(&server), before, "{assignment}");
    }
}

#[test]
fn what_others_change_meanwhile_stands() {
    let server = FakeServer::start();
    let mut fixture = Fixture::at(&server, "/db/h1:a.on=0");
    for (before, meanwhile, restored, after) in [
        (
            json!({"a": {"on": 1}}),
            json!({"a": {"on": 0, "x": 5}, "y": 6}),
            Restored::Back,
            json!({"a": {"on": 1, "x": 5}, "y": 6}),
        ),
        (json!({}), json!({"a": {"on": "0", "x": 5}}), Restored::Back, json!({"a": {"x": 5}})),
        (
            json!({"a": {"on": 1}}),
            json!({"a": {"on": 2}}),
            Restored::Overruled,
            json!({"a": {"on": 2}}),
        ),
        (
            json!({"a": {"on": 1}}),
            json!({"a": {"on": "0"}}),
            Restored::Overruled,
            json!({"a": {"on": "0"}}),
        ),
        (json!({"a": {"on": 1}}), json!({"a": 3}), Restored::Overruled, json!({"a": 3})),
        (json!({"a": {"on": 1}}), json!({}), Restored::Overruled, json!({})),
        (
            json!({"a": {"on": 1}}),
            json!({"a": {"on": 1}, "b": 2}),
            Restored::Back,
            json!({"a": {"on": 1}, "b": 2}),
        ),
    ] {
        put(&server, &before);
        fixture.drain();
        put(&server, &meanwhile);
        assert_eq!(fixture.restore(), restored, "{meanwhile}");
        assert_eq!(record(&server), after);
    }
}

#[test]
fn a_write_with_an_unknown_outcome_is_repeated_or_found() {
    for (drain_happens, restore_happens) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let server = FakeServer::start();
        put(&server, &json!({"on": 1}));
        let mut fixture = Fixture::at(&server, "/db/h1:on=0");
        let cut = |happens: bool| {
            if happens {
                server.before_reply(op::SET_DATA, FakeServer::cut);
            } else {
                server.drop_before_apply(op::SET_DATA);
            }
        };
        cut(drain_happens);
        fixture.drain();
        assert_eq!(record(&server), json!({"on": 0}));
        cut(restore_happens);
        assert_eq!(fixture.restore(), Restored::Back);
        assert_eq!(record(&server), json!({"on": 1}), "{drain_happens} {restore_happens}");
        assert_eq!(server.version(HOST), Some(2), "each was written once");
    }
}

#[test]
fn a_session_that_ends_meanwhile_changes_nothing() {
    let server = FakeServer::start();
    put(&server, &json!({"on": 1}));
    let mut fixture = Fixture::at(&server, "/db/h1:on=0");
    fixture.drain();
    server.expire_all();
    assert_eq!(fixture.restore(), Restored::Back);
    server.before_reply(op::SET_DATA, |server| {
        server.cut();
        server.expire_all();
    });
    fixture.drain();
    assert_eq!(fixture.restore(), Restored::Back);
    assert_eq!(record(&server), json!({"on": 1}));
}

#[test]
fn a_quicker_writer_is_never_overwritten() {
    let server = FakeServer::start();
    put(&server, &json!({"on": 1}));
    let mut fixture = Fixture::at(&server, "/db/h1:on=0");
    for _ in 0..3 {
        server.before_reply(op::GET_DATA, |server| put(server, &json!({"on": 2, "other": 1})));
    }
    fixture.drain();
    assert_eq!(record(&server), json!({"on": 0, "other": 1}));
    server.before_reply(op::GET_DATA, |server| put(server, &json!({"on": 0, "other": 2})));
    assert_eq!(fixture.restore(), Restored::Back);
    assert_eq!(record(&server), json!({"on": 2, "other": 2}));
    fixture.drain();
    server.before_reply(op::GET_DATA, |server| put(server, &json!({"on": 5})));
    assert_eq!(fixture.restore(), Restored::Overruled);
    assert_eq!(record(&server), json!({"on": 5}));
}

#[test]
fn a_drain_that_fails_is_reported_and_tried_until_it_works() {
    let server = FakeServer::start();
    server.put(HOST, b"{nonsense");
    let mut fixture = Fixture::at(&server, "/db/h1:on.it=0");
    fixture.step(Event::Drain);
    assert!(matches!(fixture.next_news(), News::Failing(EditError::Malformed { .. })));
    put(&server, &json!({"on": "text"}));
    let refused = fixture.next_news();
    assert!(matches!(refused, News::Failing(EditError::Refused(SetError::ThroughScalar(_)))));
    server.answer_with(op::GET_DATA, code::NO_AUTH);
    assert!(matches!(
        fixture.next_news(),
        News::Failing(EditError::Session(SessionError::NoAuth(_)))
    ));
    put(&server, &json!({}));
    assert!(matches!(fixture.next_news(), News::Drained(_)));
    assert_eq!(fixture.restore(), Restored::Back);
    assert_eq!(record(&server), json!({}));
}

#[test]
fn a_missing_host_delays_nothing_and_is_restored_when_it_is_back() {
    let server = FakeServer::start();
    let mut fixture = Fixture::at(&server, "/db/h1:on=0");
    fixture.step(Event::Drain);
    assert!(matches!(fixture.next_news(), News::NotThere));
    assert_eq!(fixture.restore(), Restored::Untouched);
    put(&server, &json!({"on": 1}));
    fixture.drain();
    server.delete(HOST);
    fixture.step(Event::Restore);
    assert!(matches!(fixture.next_news(), News::Postponed));
    // The host registers again with our value, which it has learnt from its znode.
    put(&server, &json!({"on": 0}));
    assert!(matches!(fixture.next_news(), News::Restored(Restored::Back)));
    assert_eq!(record(&server), json!({"on": 1}));
    assert!(fixture.drainer.is_idle());
}

#[test]
fn random_faults_and_writers_never_leave_a_wrong_field() {
    const TURNS: u32 = 8;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let server = FakeServer::start();
    put(&server, &json!({"on": 1, "n": 0}));
    let mut fixture = Fixture::at(&server, "/db/h1:on=0");
    for turn in 1..=TURNS {
        for _ in 0..random.u32(0..3) {
            match random.u32(0..5) {
                0 => server.before_reply(op::SET_DATA, FakeServer::cut),
                1 => server.drop_before_apply(op::SET_DATA),
                2 => server.drop_before_apply(op::GET_DATA),
                // Another writer changes another field in between.
                3 => server.before_reply(op::GET_DATA, move |server| {
                    let mut host = record(server);
                    host["n"] = json!(host["n"].as_u64().unwrap() + 1);
                    host["turn"] = json!(turn);
                    put(server, &host);
                }),
                _ => server.before_reply(op::GET_DATA, FakeServer::cut),
            }
        }
        // The turn may be cancelled at any time, and begin again.
        match random.u32(0..4) {
            0 => {
                fixture.step(Event::Drain);
                fixture.step(Event::Restore);
                fixture.step(Event::Drain);
            }
            1 => fixture.step(Event::Drain),
            _ => {}
        }
        fixture.step(Event::Drain);
        while !matches!(fixture.next_news(), News::Drained(_)) {}
        assert_eq!(record(&server)["on"], json!(0), "turn {turn}, seed {seed}");
        fixture.news.clear();
        fixture.step(Event::Restore);
        assert!(
            matches!(fixture.next_news(), News::Restored(Restored::Back)),
            "turn {turn}, seed {seed}"
        );
        assert_eq!(record(&server)["on"], json!(1), "turn {turn}, seed {seed}");
    }
    assert!(fixture.drainer.is_idle());
}
