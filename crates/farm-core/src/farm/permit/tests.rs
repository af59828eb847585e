//! One permit against scripted answers, and several against a model of a server.

mod fixture;
mod head;
mod hidden;
mod model;
mod storm;

use super::*;
use crate::session::{Change, ZnodePath};
use fixture::{
    Fixture, SESSION, ask, contender, forbidden, hint, hint_at, holders, lost, suspended,
};

const NOBODY: Vec<String> = Vec::new();
const THERE: Presence = Presence::There { holders: None };

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

fn disconnected<T>() -> Result<T, SessionError> {
    Err(SessionError::Disconnected)
}

#[test]
fn the_permit_is_granted_when_few_enough_are_before_us() {
    let table: [(u32, &[&str], &[&str]); 7] = [
        (1, &["ex5"], &["granted 77"]),
        (1, &["ex5", "ex6", "ex7"], &["granted 77"]),
        (1, &["ex4", "ex5"], &["waiting behind 1"]),
        (1, &["sh4", "ex5"], &["waiting behind 1"]),
        (1, &["ex-foo", "foo", "ex5"], &["granted 77"]),
        (2, &["ex4", "ex5"], &["granted 77"]),
        (2, &["ex3", "ex4", "ex5", "ex6"], &["waiting behind 2"]),
    ];
    for (count, queue, news) in table {
        let mut fixture = Fixture::connected(count);
        fixture.step(ask());
        assert!(fixture.permit.is_waiting());
        fixture.create("ex5");
        assert_eq!(fixture.asks(), ["look ex5 and queue"]);
        fixture.look(queue);
        assert_eq!(fixture.take_news(), news, "{count} {queue:?}");
        assert_eq!(fixture.permit.is_held(), news[0].starts_with("granted"));
        assert_eq!(fixture.permit.is_waiting(), !fixture.permit.is_held());
    }
}

#[test]
fn only_those_directly_before_us_are_watched() {
    let queue = ["ex1", "ex2", "ex3", "ex4", "ex5", "ex6"];
    for (count, watched) in
        [(1, "read ex4 Yes"), (2, "read ex3 ex4 Yes"), (4, "read ex1 ex2 ex3 ex4 Yes")]
    {
        let mut fixture = Fixture::connected(count);
        fixture.step(ask());
        fixture.create("ex5");
        fixture.look(&queue);
        assert_eq!(fixture.asks(), [watched]);
        fixture.read(THERE);
        assert_eq!(fixture.asks(), NOBODY);
    }
}

#[test]
fn a_turn_that_ends_costs_one_reread() {
    let mut fixture = Fixture::in_queue(2, &["ex1", "ex3", "ex4", "ex5"]);
    fixture.step(hint("ex1", Change::Deleted));
    assert_eq!(fixture.asks(), NOBODY, "it is not watched");
    fixture.step(hint("ex3", Change::Deleted));
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
    fixture.look(&["ex1", "ex4", "ex5"]);
    assert_eq!(fixture.take_news(), ["waiting behind 2"]);
    // The neighbour with a watch keeps it.
    assert_eq!(fixture.asks(), ["read ex1 Yes"]);
    fixture.read(THERE);
    fixture.step(hint("ex4", Change::Deleted));
    fixture.look(&["ex1", "ex5"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
}

#[test]
fn a_neighbour_that_goes_during_a_read_is_never_missed() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex4", "ex5"]);
    // It went before it was read.
    fixture.read(Presence::Gone);
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
    fixture.look(&["ex4", "ex5"]);
    // It went after the read, but the hint comes first.
    fixture.step(hint("ex4", Change::Deleted));
    fixture.read(THERE);
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
    // It went during the look, and the queue is older.
    fixture.look(&["ex4", "ex5"]);
    fixture.read(THERE);
    fixture.step(hint("ex4", Change::Deleted));
    fixture.step(hint("ex4", Change::Deleted));
    fixture.look(&["ex4", "ex5"]);
    fixture.read(Presence::Gone);
    fixture.look(&["ex5"]);
    assert_eq!(fixture.take_news(), ["waiting behind 1", "granted 77"]);
}

#[test]
fn a_watch_that_fired_for_another_change_is_set_again() {
    let mut fixture = Fixture::in_queue(1, &["ex4", "ex5"]);
    fixture.step(hint("ex4", Change::Data));
    fixture.look(&["ex4", "ex5"]);
    assert_eq!(fixture.asks(), ["read ex4 Yes"]);
    fixture.read(THERE);
    fixture.step(hint("ex5", Change::Data));
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
    fixture.look(&["ex4", "ex5"]);
    assert_eq!((fixture.asks(), fixture.take_news()), (NOBODY, NOBODY));
}

#[test]
fn hints_about_others_cost_nothing() {
    let mut fixture = Fixture::in_queue(1, &["ex4", "ex5"]);
    for name in ["ex3", "ex6", "foo", "ex-foo"] {
        fixture.step(hint(name, Change::Deleted));
    }
    for at in ["/", "/_zklocking", "/_zklocking/web", "/_zklocking/other/ex4", "/ex4"] {
        let path = ZnodePath::parse(at).unwrap();
        fixture.step(hint_at(path, Change::Deleted));
    }
    assert_eq!(fixture.asks(), NOBODY);
}

#[test]
fn giving_back_is_one_request_even_during_a_read() {
    let mut waiting = Fixture::in_queue(1, &["ex4", "ex5"]);
    let mut held = Fixture::in_queue(1, &["ex5"]);
    let mut looking = Fixture::in_queue(1, &["ex4", "ex5"]);
    looking.step(hint("ex4", Change::Deleted));
    let mut reading = Fixture::in_queue(1, &["ex4", "ex5"]);
    reading.step(hint("ex4", Change::Data));
    reading.look(&["ex4", "ex5"]);
    for fixture in [&mut waiting, &mut held, &mut looking, &mut reading] {
        let late = fixture.open.pop();
        fixture.step(Event::GiveBack);
        assert_eq!(fixture.asks(), ["delete ex5"]);
        assert!(!fixture.permit.is_held() && !fixture.permit.is_waiting());
        fixture.take_news();
        if let Some(late) = late {
            fixture.open.push(late);
            fixture.open.swap(0, 1);
            let stat = Stat { ephemeral_owner: SESSION, ..Stat::default() };
            fixture.answer(Outcome::Look(Ok(Some((stat, Queue::of(["ex5"]))))));
            assert_eq!((fixture.take_news(), fixture.asks()), (NOBODY, one("delete ex5")));
        }
        fixture.answer(Outcome::Delete(Ok(())));
        assert_eq!((fixture.take_news(), fixture.asks()), (one("left"), NOBODY));
    }
}

#[test]
fn giving_back_without_a_contender_is_done_at_once() {
    for mut fixture in [Fixture::new(1), Fixture::connected(1)] {
        fixture.step(Event::GiveBack);
        assert_eq!((fixture.take_news(), fixture.asks()), (one("left"), NOBODY));
    }
    let mut fixture = Fixture::new(1);
    fixture.step(ask());
    fixture.step(Event::GiveBack);
    assert_eq!(fixture.take_news(), ["left"]);
    fixture.connect(true);
    assert_eq!(fixture.asks(), NOBODY);
}

#[test]
fn giving_back_during_a_create_deletes_the_contender() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.step(Event::GiveBack);
    assert_eq!(fixture.take_news(), NOBODY);
    fixture.create("ex5");
    assert_eq!(fixture.asks(), ["delete ex5"]);
    fixture.answer(Outcome::Delete(Ok(())));
    assert_eq!(fixture.take_news(), ["left"]);

    let mut denied = Fixture::connected(1);
    denied.step(ask());
    denied.step(Event::GiveBack);
    denied.answer(Outcome::Create(Err(forbidden())));
    assert_eq!(denied.take_news().last().unwrap(), "left");

    let mut unsure = Fixture::connected(1);
    unsure.step(ask());
    unsure.step(Event::GiveBack);
    unsure.answer(Outcome::Create(disconnected()));
    unsure.step(suspended());
    assert_eq!(unsure.take_news(), NOBODY);
    unsure.connect(false);
    assert_eq!(unsure.asks(), ["find 0xa"]);
    unsure.answer(Outcome::Find(Ok(Some(contender("ex5")))));
    assert_eq!(unsure.asks(), ["delete ex5"]);
    unsure.answer(Outcome::Delete(Ok(())));
    assert_eq!(unsure.take_news(), ["left"]);
}

#[test]
fn giving_back_while_disconnected_is_finished_after_the_reconnect() {
    for queue in [&["ex5"][..], &["ex4", "ex5"]] {
        let mut fixture = Fixture::in_queue(1, queue);
        fixture.step(suspended());
        fixture.step(Event::GiveBack);
        assert_eq!((fixture.take_news(), fixture.asks()), (NOBODY, NOBODY));
        fixture.connect(false);
        assert_eq!(fixture.asks(), ["look ex5"]);
        fixture.look(&[]);
        fixture.answer(Outcome::Delete(disconnected()));
        fixture.step(suspended());
        fixture.connect(false);
        fixture.look(&[]);
        fixture.answer(Outcome::Delete(Ok(())));
        assert_eq!(fixture.take_news(), ["left"]);
    }
}

#[test]
fn a_name_that_another_session_owns_by_now_is_not_deleted() {
    for event in [Event::GiveBack, Event::Tick] {
        let is_leaving = matches!(event, Event::GiveBack);
        let mut fixture = Fixture::in_queue(1, &["ex5"]);
        fixture.step(suspended());
        fixture.step(event);
        fixture.connect(false);
        assert_eq!(fixture.asks(), ["look ex5"]);
        let theirs = Stat { ephemeral_owner: 0xb, ..Stat::default() };
        fixture.answer(Outcome::Look(Ok(Some((theirs, Queue::default())))));
        assert_eq!(fixture.take_news(), [if is_leaving { "left" } else { "lost" }]);
        assert_eq!(fixture.asks(), NOBODY);
    }
}

#[test]
fn a_new_ask_waits_until_the_old_contender_is_gone() {
    let mut fixture = Fixture::in_queue(1, &["ex5"]);
    fixture.step(Event::GiveBack);
    fixture.step(ask());
    assert!(fixture.permit.is_waiting());
    assert_eq!(fixture.asks(), ["delete ex5"]);
    fixture.answer(Outcome::Delete(Ok(())));
    assert_eq!(fixture.take_news(), ["left"]);
    fixture.create("ex6");
    fixture.look(&["ex6"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
}

#[test]
fn a_contender_that_somebody_deletes_is_lost() {
    for queue in [&["ex5"][..], &["ex4", "ex5"]] {
        let mut fixture = Fixture::in_queue(1, queue);
        fixture.step(hint("ex5", Change::Deleted));
        assert!(fixture.asks()[0].starts_with("look ex5"), "the hint alone is no proof");
        fixture.answer(Outcome::Look(Ok(None)));
        assert_eq!((fixture.take_news(), fixture.asks()), (one("lost"), NOBODY));
        assert!(!fixture.permit.is_held() && !fixture.permit.is_waiting());
        fixture.step(ask());
        assert_eq!(fixture.asks(), ["create"]);
    }
}

#[test]
fn the_end_of_the_session_is_reported_once() {
    let mut idle = Fixture::connected(1);
    idle.step(lost());
    assert_eq!(idle.take_news(), NOBODY);
    let mut creating = Fixture::connected(1);
    creating.step(ask());
    let mut away = Fixture::connected(1);
    away.step(suspended());
    away.step(ask());
    for mut fixture in
        [creating, away, Fixture::in_queue(1, &["ex5"]), Fixture::in_queue(1, &["ex4", "ex5"])]
    {
        fixture.step(suspended());
        fixture.step(lost());
        assert_eq!(fixture.take_news(), ["lost"]);
        assert!(!fixture.permit.is_held() && !fixture.permit.is_waiting());
        fixture.open.clear();
        fixture.step(ask());
        fixture.connect(true);
        assert_eq!((fixture.take_news(), fixture.asks()), (NOBODY, one("create")));
    }
    let mut leaving = Fixture::in_queue(1, &["ex5"]);
    leaving.step(Event::GiveBack);
    leaving.step(lost());
    assert_eq!(leaving.take_news(), ["left"]);
    // Also without an event for the end of the old session.
    let mut renewed = Fixture::in_queue(1, &["ex5"]);
    renewed.connect(true);
    assert_eq!(renewed.take_news(), ["lost"]);
}

#[test]
fn a_create_of_an_earlier_session_is_ignored() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.step(suspended());
    fixture.step(lost());
    fixture.step(ask());
    fixture.connect(true);
    fixture.answer(Outcome::Create(Ok(contender("ex4"))));
    fixture.create("ex5");
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
}

#[test]
fn an_unsure_create_is_looked_for_before_the_next_create() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.step(suspended());
    fixture.connect(false);
    assert_eq!(fixture.asks(), ["create"], "its answer is on the way");
    fixture.answer(Outcome::Create(disconnected()));
    assert_eq!(fixture.asks(), ["find 0xa"]);
    fixture.answer(Outcome::Find(Ok(Some(contender("ex5")))));
    fixture.look(&["ex5"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);

    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.answer(Outcome::Create(disconnected()));
    assert_eq!(fixture.asks(), NOBODY, "the link is about to say that it is down");
    fixture.step(suspended());
    fixture.connect(false);
    fixture.answer(Outcome::Find(Ok(None)));
    fixture.create("ex5");
}

#[test]
fn a_create_that_is_answered_late_counts() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.step(suspended());
    fixture.answer(Outcome::Create(Ok(contender("ex5"))));
    assert_eq!(fixture.asks(), NOBODY);
    fixture.connect(false);
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);

    // Another session may own the name by now, so the contender is looked at before the delete.
    let mut leaving = Fixture::connected(1);
    leaving.step(ask());
    leaving.step(Event::GiveBack);
    leaving.step(suspended());
    leaving.connect(false);
    leaving.answer(Outcome::Create(Ok(contender("ex5"))));
    assert_eq!(leaving.asks(), ["look ex5"]);
}

#[test]
fn a_queue_without_our_contender_grants_nothing() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex6"]);
    assert_eq!(fixture.take_news(), NOBODY);
    assert_eq!(fixture.asks(), ["look ex5 and queue"]);
}

#[test]
fn a_held_permit_is_held_while_suspended_and_verified_afterwards() {
    let mut fixture = Fixture::in_queue(2, &["ex4", "ex5"]);
    fixture.step(suspended());
    assert!(fixture.permit.is_held());
    fixture.connect(false);
    assert!(fixture.permit.is_held());
    assert_eq!(fixture.asks(), ["look ex5"], "nobody else matters");
    fixture.look(&[]);
    assert_eq!((fixture.take_news(), fixture.asks()), (NOBODY, NOBODY));
    fixture.step(suspended());
    fixture.connect(false);
    fixture.answer(Outcome::Look(Ok(None)));
    assert_eq!(fixture.take_news(), ["lost"]);
}

#[test]
fn a_confirmation_is_a_check_by_the_leader() {
    let held = || {
        let mut fixture = Fixture::in_queue(1, &["ex5"]);
        fixture.step(Event::Confirm);
        assert_eq!(fixture.asks(), ["prove ex5"]);
        fixture
    };
    let mut fixture = held();
    fixture.answer(Outcome::Prove(Ok(())));
    assert_eq!(fixture.take_news(), ["confirmed"]);
    let mut fixture = held();
    fixture.answer(Outcome::Prove(disconnected()));
    assert_eq!((fixture.take_news(), fixture.permit.is_held()), (one("unconfirmed"), true));
    let mut fixture = held();
    fixture.answer(Outcome::Prove(Err(SessionError::NoNode(ZnodePath::root()))));
    assert_eq!((fixture.take_news(), fixture.permit.is_held()), (one("lost"), false));
    // The session ends before the answer comes.
    let mut fixture = held();
    fixture.step(lost());
    assert_eq!(fixture.take_news(), ["lost"]);
    fixture.answer(Outcome::Prove(Ok(())));
    assert_eq!(fixture.take_news(), NOBODY);
    // A waiting member holds nothing to confirm.
    let mut fixture = Fixture::in_queue(1, &["ex4", "ex5"]);
    fixture.take_news();
    fixture.step(Event::Confirm);
    assert_eq!(fixture.take_news(), ["unconfirmed"]);
}

#[test]
fn what_was_read_over_an_earlier_connection_grants_nothing() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.step(suspended());
    fixture.look(&["ex5"]);
    assert_eq!(fixture.take_news(), NOBODY);
    fixture.connect(false);
    fixture.look(&["ex4", "ex5"]);
    assert_eq!(fixture.take_news(), ["waiting behind 1"]);
    // The watches are gone with the connection, and are set again.
    fixture.read(THERE);
    fixture.step(suspended());
    fixture.connect(false);
    fixture.look(&["ex4", "ex5"]);
    assert_eq!((fixture.take_news(), fixture.asks()), (NOBODY, one("read ex4 Yes")));
}

#[test]
fn a_refusal_is_reported_once_and_tried_again() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    for round in 0..5 {
        fixture.answer(Outcome::Create(Err(forbidden())));
        let news: &[&str] =
            if round == 0 { &["refused not authorised: /_zklocking/web"] } else { &[] };
        assert_eq!(fixture.take_news(), news);
        assert_eq!(fixture.asks(), NOBODY);
        fixture.tick();
        assert_eq!(fixture.asks(), ["create"]);
    }
    fixture.create("ex5");
    fixture.answer(Outcome::Look(Err(forbidden())));
    assert_eq!(fixture.take_news(), ["refused not authorised: /_zklocking/web"]);
    fixture.tick();
    fixture.look(&["ex5"]);
    assert_eq!(fixture.take_news(), ["granted 77"]);
    fixture.step(Event::GiveBack);
    fixture.answer(Outcome::Delete(Err(forbidden())));
    fixture.tick();
    fixture.answer(Outcome::Delete(Ok(())));
    assert_eq!(fixture.take_news(), ["refused not authorised: /_zklocking/web", "left"]);
    assert_eq!(fixture.permit.deadline(), None);
}

#[test]
fn repeated_unsure_creates_are_reported_once() {
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    let garbled = || SessionError::Garbled(fixture::path("ex"));
    let mut news = Vec::new();
    for _ in 0..5 {
        fixture.answer(Outcome::Create(Err(garbled())));
        fixture.tick();
        fixture.answer(Outcome::Find(Ok(None)));
        news.append(&mut fixture.take_news());
    }
    assert_eq!(news.len(), 1, "{news:?}");
}

#[test]
fn a_different_number_of_holders_is_reported_once() {
    let theirs = |count| Presence::There { holders: Some(holders(count)) };
    let mut fixture = Fixture::connected(1);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex4", "ex5"]);
    fixture.read(theirs(1));
    assert_eq!(fixture.take_news(), ["waiting behind 1"]);
    fixture.step(hint("ex4", Change::Deleted));
    fixture.look(&["ex3", "ex5"]);
    fixture.read(theirs(3));
    assert_eq!(fixture.take_news(), ["unequal 1 3"]);
    fixture.step(hint("ex3", Change::Data));
    fixture.look(&["ex3", "ex5"]);
    fixture.read(theirs(2));
    assert_eq!(fixture.take_news(), NOBODY);

    // Also if we hold a permit at the same time.
    let mut fixture = Fixture::connected(2);
    fixture.step(ask());
    fixture.create("ex5");
    fixture.look(&["ex4", "ex5"]);
    assert_eq!((fixture.take_news(), fixture.asks()), (one("granted 77"), one("read ex4 No")));
    fixture.read(theirs(1));
    assert_eq!((fixture.take_news(), fixture.asks()), (one("unequal 2 1"), NOBODY));
}
