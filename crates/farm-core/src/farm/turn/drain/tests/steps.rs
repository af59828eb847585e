//! The state machine of the drainer: events and actions.

use super::*;
use crate::session::{self, Change, DownReason, Hint, SessionId};
use serde_json::json;
use std::time::Duration;

/// A drainer whose actions are short texts.
struct Fixture {
    drainer: Drainer,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self { drainer: Drainer::new(drain("/db/h1:enabled=0")), now: Instant::now() }
    }

    /// A drainer that has drained a field with the value 1.
    fn drained() -> Self {
        let mut fixture = Self::new();
        fixture.step(connected());
        fixture.step(Event::Drain);
        assert_eq!(fixture.answer(Answer::Drained(Ok(was(1)))), ["drained was 1"]);
        fixture
    }

    fn step(&mut self, event: Event) -> Vec<String> {
        let name = |action: Action| match action {
            Action::Request(request) => match request.ask {
                Ask::Drain(None) => "ask drain".to_owned(),
                Ask::Drain(Some(former)) => format!("ask drain after {}", former_of(&former)),
                Ask::Restore(drained) => format!("ask restore {}", former_of(&drained)),
            },
            Action::Report(News::Drained(drained)) => {
                format!("drained was {}", former_of(&drained))
            }
            Action::Report(News::NotThere) => "not there".to_owned(),
            Action::Report(News::Failing(error)) => format!("failing: {}", chain(&error)),
            Action::Report(News::Restored(restored)) => format!("restored {restored:?}"),
            Action::Report(News::Postponed) => "postponed".to_owned(),
        };
        self.drainer.step(self.now, event).into_iter().map(name).collect()
    }

    fn answer(&mut self, answer: Answer) -> Vec<String> {
        self.step(Event::Answered(answer))
    }

    fn tick(&mut self) -> Vec<String> {
        self.now = self.drainer.deadline().expect("something is due");
        self.step(Event::Tick)
    }
}

fn connected() -> Event {
    let (session, granted) = (SessionId(1), Duration::from_secs(10));
    Event::Session(session::Event::Connected { session, is_new: true, granted })
}

const fn away() -> Event {
    Event::Session(session::Event::Suspended(DownReason::HungUp))
}

fn was(value: i32) -> Drained {
    Drained { was: Some(json!(value)), set: json!(0), keys_found: 1, retyped: None }
}

fn former_of(drained: &Drained) -> String {
    drained.was.as_ref().map_or("nothing".to_owned(), ToString::to_string)
}

fn cut() -> EditError<SetError> {
    EditError::Session(SessionError::Disconnected)
}

fn no_node() -> EditError<SetError> {
    EditError::Session(SessionError::NoNode(drain("/db/h1:a=1").path))
}

fn forbidden() -> EditError<SetError> {
    EditError::Session(SessionError::NoAuth(drain("/db/h1:a=1").path))
}

fn undrained(error: EditError<SetError>, drained: Option<Drained>) -> Answer {
    Answer::Drained(Err(Undrained { error, drained: drained.map(Box::new) }))
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_turn_drains_and_restores() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.step(Event::Drain), NOTHING);
    assert_eq!(fixture.step(connected()), ["ask drain"]);
    assert_eq!(fixture.step(Event::Drain), NOTHING);
    assert_eq!(fixture.answer(Answer::Drained(Ok(was(1)))), ["drained was 1"]);
    assert_eq!(fixture.step(Event::Drain), ["drained was 1"]);
    assert!(!fixture.drainer.is_idle());
    assert_eq!(fixture.step(Event::Restore), ["ask restore 1"]);
    assert_eq!(fixture.step(Event::Restore), NOTHING);
    assert_eq!(fixture.answer(Answer::Restored(Ok(Restored::Back))), ["restored Back"]);
    assert!(fixture.drainer.is_idle());
    assert_eq!(fixture.step(Event::Restore), ["restored Untouched"]);
    assert_eq!(
        (fixture.step(Event::Drain), fixture.drainer.deadline()),
        (vec!["ask drain".to_owned()], None)
    );
}

#[test]
fn what_an_earlier_attempt_may_have_written_is_remembered() {
    let mut fixture = Fixture::new();
    fixture.step(connected());
    fixture.step(Event::Drain);
    assert_eq!(fixture.answer(undrained(cut(), Some(was(1)))), NOTHING);
    assert_eq!(fixture.tick(), ["ask drain after 1"]);
    // The turn is cancelled: what may have been written is restored.
    assert_eq!(fixture.step(Event::Restore), NOTHING);
    assert_eq!(fixture.answer(undrained(cut(), Some(was(1)))), ["ask restore 1"]);
    assert_eq!(fixture.answer(Answer::Restored(Err(cut()))), NOTHING);
    assert_eq!(fixture.tick(), ["ask restore 1"]);
    // A new turn begins before the answer.
    assert_eq!(fixture.step(Event::Drain), NOTHING);
    assert_eq!(fixture.answer(Answer::Restored(Err(cut()))), ["ask drain after 1"]);
    assert_eq!(fixture.answer(Answer::Drained(Ok(was(1)))), ["drained was 1"]);
    assert_eq!(fixture.step(Event::Restore), ["ask restore 1"]);
    assert_eq!(fixture.step(Event::Drain), NOTHING);
    assert_eq!(fixture.answer(Answer::Restored(Ok(Restored::Back))), ["ask drain"]);
}

#[test]
fn nothing_was_written_and_nothing_is_restored() {
    let mut fixture = Fixture::new();
    fixture.step(connected());
    fixture.step(Event::Drain);
    assert_eq!(fixture.step(Event::Restore), NOTHING);
    assert_eq!(fixture.answer(undrained(forbidden(), None)), ["restored Untouched"]);
    assert!(fixture.drainer.is_idle());
    // The same without a connection.
    fixture.step(away());
    assert_eq!(fixture.step(Event::Drain), NOTHING);
    assert_eq!(fixture.step(Event::Restore), ["restored Untouched"]);
}

#[test]
fn a_host_that_is_in_no_rotation_has_nothing_to_drain() {
    let mut fixture = Fixture::new();
    fixture.step(connected());
    fixture.step(Event::Drain);
    assert_eq!(fixture.answer(undrained(no_node(), None)), ["not there"]);
    assert_eq!(fixture.step(Event::Drain), ["not there"]);
    assert_eq!(fixture.step(Event::Restore), ["restored Untouched"]);
}

#[test]
fn an_error_is_reported_once_and_tried_again() {
    let mut fixture = Fixture::new();
    fixture.step(connected());
    fixture.step(Event::Drain);
    let expected = ["failing: cannot change the record: not authorised: /db/h1"];
    assert_eq!(fixture.answer(undrained(forbidden(), None)), expected);
    for _ in 0..3 {
        assert_eq!(fixture.tick(), ["ask drain"]);
        assert_eq!(fixture.answer(undrained(forbidden(), None)), NOTHING);
    }
    assert_eq!(fixture.tick(), ["ask drain"]);
    let refused = EditError::Refused(SetError::NoField);
    let expected = ["failing: the record can't be changed like this: no field is named"];
    assert_eq!(fixture.answer(undrained(refused, None)), expected);
    assert_eq!(fixture.tick(), ["ask drain"]);
    assert_eq!(fixture.answer(Answer::Drained(Ok(was(1)))), ["drained was 1"]);
    fixture.step(Event::Restore);
    let expected = ["failing: cannot change the record: not authorised: /db/h1"];
    assert_eq!(fixture.answer(Answer::Restored(Err(forbidden()))), expected);
    assert_eq!(fixture.tick(), ["ask restore 1"]);
}

#[test]
fn an_outage_is_waited_for_without_a_timer() {
    let mut fixture = Fixture::drained();
    fixture.step(Event::Restore);
    assert_eq!(fixture.step(away()), NOTHING);
    assert_eq!(fixture.answer(Answer::Restored(Err(cut()))), NOTHING);
    assert_eq!(fixture.drainer.deadline(), None);
    assert_eq!(fixture.step(connected()), ["ask restore 1"]);
    // The answer to an interrupted request comes after the next connection.
    let mut late = Fixture::drained();
    late.step(Event::Restore);
    late.step(away());
    assert_eq!(late.step(connected()), NOTHING);
    assert_eq!(late.answer(Answer::Restored(Err(cut()))), NOTHING);
    assert_eq!(late.tick(), ["ask restore 1"]);
}

#[test]
fn a_host_that_has_left_is_restored_when_it_is_back() {
    let mut fixture = Fixture::drained();
    fixture.step(Event::Restore);
    assert_eq!(fixture.answer(Answer::Restored(Err(no_node()))), ["postponed"]);
    assert_eq!(fixture.tick(), ["ask restore 1"]);
    assert_eq!(fixture.answer(Answer::Restored(Err(no_node()))), NOTHING);
    let hint = |path: &str| {
        let path = ZnodePath::parse(path).unwrap();
        Event::Session(session::Event::Hint(Hint { path, change: Change::Created }))
    };
    assert_eq!(fixture.step(hint("/db/h2")), NOTHING);
    assert_eq!(fixture.step(hint("/db/h1")), ["ask restore 1"]);
    assert_eq!(fixture.answer(Answer::Restored(Ok(Restored::Overruled))), ["restored Overruled"]);
    // A turn that begins meanwhile knows the value that is still to be restored.
    let mut fixture = Fixture::drained();
    fixture.step(Event::Restore);
    fixture.answer(Answer::Restored(Err(no_node())));
    assert_eq!(fixture.step(Event::Drain), ["ask drain after 1"]);
    assert_eq!(fixture.answer(undrained(no_node(), Some(was(1)))), ["not there"]);
    assert_eq!(fixture.step(Event::Restore), ["ask restore 1"]);
    assert_eq!(fixture.answer(Answer::Restored(Err(no_node()))), ["postponed"]);
}
