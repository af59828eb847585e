//! A permit that counts only at the head of the queue.

use super::super::*;
use super::fixture::{Fixture, ask, hint};
use crate::session::Change;

const THERE: Presence = Presence::There { holders: None };

#[test]
fn who_needs_the_head_of_the_queue_waits_for_it_whatever_the_limit() {
    // Held with the limit of two, then needed as the head.
    let mut fixture = Fixture::connected(2);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex4", "ex5", "ex6"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
    fixture.read(THERE);
    fixture.step(Event::NeedHead(true));
    assert!(!fixture.permit.is_held());
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
    fixture.look(&["ex4", "ex5", "ex6"]);
    assert_eq!(fixture.take_news(), ["waiting behind 1"]);
    fixture.read(THERE);
    fixture.step(hint("ex4", Change::Deleted));
    fixture.look(&["ex5", "ex6"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
    fixture.step(Event::NeedHead(false));
    assert!(fixture.permit.is_held() && fixture.asks().is_empty());
    // Waiting for the head, which is not needed any more.
    let mut fixture = Fixture::connected(2);
    fixture.step(Event::NeedHead(true));
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex3", "ex5"]);
    assert_eq!(fixture.take_news(), ["waiting behind 1"]);
    fixture.step(Event::NeedHead(false));
    // The queue is read again with the new number.
    assert_eq!(fixture.asks().last().unwrap(), "look ex5 and queue");
    fixture.read(THERE);
    fixture.look(&["ex3", "ex5"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
}

#[test]
fn with_one_holder_the_head_is_needed_anyway() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex5"]);
    fixture.step(Event::NeedHead(true));
    assert!(fixture.permit.is_held() && fixture.asks().is_empty());
}
