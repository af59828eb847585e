//! The permit by tables, and several of them against a server of the mind.

mod bench;
mod model;
mod storm;

use super::*;
use crate::session::{Change, ZnodePath};
use bench::{Bench, SESSION, ask, forbidden, hint, hint_at, holders, lost, place, suspended};

const NOBODY: Vec<String> = Vec::new();
const THERE: Presence = Presence::There { holders: None };

fn disconnected<T>() -> Result<T, SessionError> {
    Err(SessionError::Disconnected)
}

#[test]
fn it_is_our_turn_when_few_enough_are_before_us() {
    let table: [(u32, &[&str], &[&str]); 7] = [
        (1, &["ex5"], &["granted 77"]),
        (1, &["ex5", "ex6", "ex7"], &["granted 77"]),
        (1, &["ex4", "ex5"], &["waiting behind 1"]),
        (1, &["sh4", "ex5"], &["waiting behind 1"]),
        (1, &["ex-foo", "foo", "ex5"], &["granted 77"]),
        (2, &["ex4", "ex5"], &["granted 77"]),
        (2, &["ex3", "ex4", "ex5", "ex6"], &["waiting behind 2"]),
    ];
    for (count, line, told) in table {
        let mut bench = Bench::connected(count);
        bench.step(ask());
        assert!(bench.permit.is_waiting());
        bench.create("ex5");
        assert_eq!(bench.asks(), ["look ex5 and line"]);
        bench.look(line);
        assert_eq!(bench.take_told(), told, "{count} {line:?}");
        assert_eq!(bench.permit.is_held(), told[0].starts_with("granted"));
        assert_eq!(bench.permit.is_waiting(), !bench.permit.is_held());
    }
}

#[test]
fn only_those_directly_before_us_are_watched() {
    let line = ["ex1", "ex2", "ex3", "ex4", "ex5", "ex6"];
    for (count, watched) in
        [(1, "read ex4 Yes"), (2, "read ex3 ex4 Yes"), (4, "read ex1 ex2 ex3 ex4 Yes")]
    {
        let mut bench = Bench::connected(count);
        bench.step(ask());
        bench.create("ex5");
        bench.look(&line);
        assert_eq!(bench.asks(), [watched]);
        bench.read(THERE);
        assert_eq!(bench.asks(), NOBODY);
    }
}

#[test]
fn a_turn_that_ends_costs_one_reread() {
    let mut bench = Bench::in_line(2, &["ex1", "ex3", "ex4", "ex5"]);
    bench.step(hint("ex1", Change::Deleted));
    assert_eq!(bench.asks(), NOBODY, "it is not watched");
    bench.step(hint("ex3", Change::Deleted));
    assert_eq!(bench.asks(), ["look ex5 and line"]);
    bench.look(&["ex1", "ex4", "ex5"]);
    assert_eq!(bench.take_told(), ["waiting behind 2"]);
    // The one that it has a watch on keeps it.
    assert_eq!(bench.asks(), ["read ex1 Yes"]);
    bench.read(THERE);
    bench.step(hint("ex4", Change::Deleted));
    bench.look(&["ex1", "ex5"]);
    assert_eq!(bench.take_told(), ["granted 77"]);
}

#[test]
fn one_that_goes_while_it_is_looked_at_is_never_missed() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.create("ex5");
    bench.look(&["ex4", "ex5"]);
    // It went before its card was read.
    bench.read(Presence::Gone);
    assert_eq!(bench.asks(), ["look ex5 and line"]);
    bench.look(&["ex4", "ex5"]);
    // It went after, but that was told first.
    bench.step(hint("ex4", Change::Deleted));
    bench.read(THERE);
    assert_eq!(bench.asks(), ["look ex5 and line"]);
    // It went during the look, and the line is older.
    bench.look(&["ex4", "ex5"]);
    bench.read(THERE);
    bench.step(hint("ex4", Change::Deleted));
    bench.step(hint("ex4", Change::Deleted));
    bench.look(&["ex4", "ex5"]);
    bench.read(Presence::Gone);
    bench.look(&["ex5"]);
    assert_eq!(bench.take_told(), ["waiting behind 1", "granted 77"]);
}

#[test]
fn a_watch_that_told_of_another_change_is_set_again() {
    let mut bench = Bench::in_line(1, &["ex4", "ex5"]);
    bench.step(hint("ex4", Change::Data));
    bench.look(&["ex4", "ex5"]);
    assert_eq!(bench.asks(), ["read ex4 Yes"]);
    bench.read(THERE);
    bench.step(hint("ex5", Change::Data));
    assert_eq!(bench.asks(), ["look ex5 and line"]);
    bench.look(&["ex4", "ex5"]);
    assert_eq!((bench.asks(), bench.take_told()), (NOBODY, NOBODY));
}

#[test]
fn hints_about_others_cost_nothing() {
    let mut bench = Bench::in_line(1, &["ex4", "ex5"]);
    for name in ["ex3", "ex6", "foo", "ex-foo"] {
        bench.step(hint(name, Change::Deleted));
    }
    for at in ["/", "/_zklocking", "/_zklocking/web", "/_zklocking/other/ex4", "/ex4"] {
        let path = ZnodePath::parse(at).unwrap();
        bench.step(hint_at(path, Change::Deleted));
    }
    assert_eq!(bench.asks(), NOBODY);
}

#[test]
fn giving_back_is_one_request_whatever_is_being_read() {
    let mut waiting = Bench::in_line(1, &["ex4", "ex5"]);
    let mut held = Bench::in_line(1, &["ex5"]);
    let mut looking = Bench::in_line(1, &["ex4", "ex5"]);
    looking.step(hint("ex4", Change::Deleted));
    let mut reading = Bench::in_line(1, &["ex4", "ex5"]);
    reading.step(hint("ex4", Change::Data));
    reading.look(&["ex4", "ex5"]);
    for bench in [&mut waiting, &mut held, &mut looking, &mut reading] {
        let late = bench.open.pop();
        bench.step(Event::GiveBack);
        assert_eq!(bench.asks(), ["delete ex5"]);
        assert!(!bench.permit.is_held() && !bench.permit.is_waiting());
        bench.take_told();
        if let Some(late) = late {
            bench.open.push(late);
            bench.open.swap(0, 1);
            let stat = Stat { ephemeral_owner: SESSION, ..Stat::default() };
            bench.answer(Outcome::Look(Ok(Some((stat, Queue::of(["ex5"]))))));
            assert_eq!((bench.take_told(), bench.asks()), (NOBODY, vec!["delete ex5".to_owned()]));
        }
        bench.answer(Outcome::Delete(Ok(())));
        assert_eq!((bench.take_told(), bench.asks()), (vec!["left".to_owned()], NOBODY));
    }
}

#[test]
fn giving_back_what_there_is_not_is_done_at_once() {
    for mut bench in [Bench::new(1), Bench::connected(1)] {
        bench.step(Event::GiveBack);
        assert_eq!((bench.take_told(), bench.asks()), (vec!["left".to_owned()], NOBODY));
    }
    let mut bench = Bench::new(1);
    bench.step(ask());
    bench.step(Event::GiveBack);
    assert_eq!(bench.take_told(), ["left"]);
    bench.contact(true);
    assert_eq!(bench.asks(), NOBODY);
}

#[test]
fn giving_back_while_a_create_is_under_way_deletes_what_comes() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.step(Event::GiveBack);
    assert_eq!(bench.take_told(), NOBODY);
    bench.create("ex5");
    assert_eq!(bench.asks(), ["delete ex5"]);
    bench.answer(Outcome::Delete(Ok(())));
    assert_eq!(bench.take_told(), ["left"]);

    let mut denied = Bench::connected(1);
    denied.step(ask());
    denied.step(Event::GiveBack);
    denied.answer(Outcome::Create(Err(forbidden())));
    assert_eq!(denied.take_told().last().unwrap(), "left");

    let mut unsure = Bench::connected(1);
    unsure.step(ask());
    unsure.step(Event::GiveBack);
    unsure.answer(Outcome::Create(disconnected()));
    unsure.step(suspended());
    assert_eq!(unsure.take_told(), NOBODY);
    unsure.contact(false);
    assert_eq!(unsure.asks(), ["find 0xa"]);
    unsure.answer(Outcome::Find(Ok(Some(place("ex5")))));
    assert_eq!(unsure.asks(), ["delete ex5"]);
    unsure.answer(Outcome::Delete(Ok(())));
    assert_eq!(unsure.take_told(), ["left"]);
}

#[test]
fn giving_back_without_contact_is_finished_after_it() {
    for line in [&["ex5"][..], &["ex4", "ex5"]] {
        let mut bench = Bench::in_line(1, line);
        bench.step(suspended());
        bench.step(Event::GiveBack);
        assert_eq!((bench.take_told(), bench.asks()), (NOBODY, NOBODY));
        bench.contact(false);
        assert_eq!(bench.asks(), ["look ex5"]);
        bench.look(&[]);
        bench.answer(Outcome::Delete(disconnected()));
        bench.step(suspended());
        bench.contact(false);
        bench.look(&[]);
        bench.answer(Outcome::Delete(Ok(())));
        assert_eq!(bench.take_told(), ["left"]);
    }
}

#[test]
fn a_name_that_is_anothers_by_now_is_not_deleted() {
    for event in [Event::GiveBack, Event::Tick] {
        let is_leaving = matches!(event, Event::GiveBack);
        let mut bench = Bench::in_line(1, &["ex5"]);
        bench.step(suspended());
        bench.step(event);
        bench.contact(false);
        assert_eq!(bench.asks(), ["look ex5"]);
        let theirs = Stat { ephemeral_owner: 0xb, ..Stat::default() };
        bench.answer(Outcome::Look(Ok(Some((theirs, Queue::default())))));
        assert_eq!(bench.take_told(), [if is_leaving { "left" } else { "lost" }]);
        assert_eq!(bench.asks(), NOBODY);
    }
}

#[test]
fn a_new_ask_waits_until_the_old_contender_is_gone() {
    let mut bench = Bench::in_line(1, &["ex5"]);
    bench.step(Event::GiveBack);
    bench.step(ask());
    assert!(bench.permit.is_waiting());
    assert_eq!(bench.asks(), ["delete ex5"]);
    bench.answer(Outcome::Delete(Ok(())));
    assert_eq!(bench.take_told(), ["left"]);
    bench.create("ex6");
    bench.look(&["ex6"]);
    assert_eq!(bench.take_told(), ["granted 77"]);
}

#[test]
fn a_contender_that_somebody_deletes_is_lost() {
    for line in [&["ex5"][..], &["ex4", "ex5"]] {
        let mut bench = Bench::in_line(1, line);
        bench.step(hint("ex5", Change::Deleted));
        assert!(bench.asks()[0].starts_with("look ex5"), "the hint alone is no proof");
        bench.answer(Outcome::Look(Ok(None)));
        assert_eq!((bench.take_told(), bench.asks()), (vec!["lost".to_owned()], NOBODY));
        assert!(!bench.permit.is_held() && !bench.permit.is_waiting());
        bench.step(ask());
        assert_eq!(bench.asks(), ["create"]);
    }
}

#[test]
fn the_end_of_the_session_is_told_once() {
    let mut idle = Bench::connected(1);
    idle.step(lost());
    assert_eq!(idle.take_told(), NOBODY);
    let mut creating = Bench::connected(1);
    creating.step(ask());
    let mut away = Bench::connected(1);
    away.step(suspended());
    away.step(ask());
    for mut bench in
        [creating, away, Bench::in_line(1, &["ex5"]), Bench::in_line(1, &["ex4", "ex5"])]
    {
        bench.step(suspended());
        bench.step(lost());
        assert_eq!(bench.take_told(), ["lost"]);
        assert!(!bench.permit.is_held() && !bench.permit.is_waiting());
        bench.open.clear();
        bench.step(ask());
        bench.contact(true);
        assert_eq!((bench.take_told(), bench.asks()), (NOBODY, vec!["create".to_owned()]));
    }
    let mut leaving = Bench::in_line(1, &["ex5"]);
    leaving.step(Event::GiveBack);
    leaving.step(lost());
    assert_eq!(leaving.take_told(), ["left"]);
    // Also if nobody has told that the old one is over.
    let mut renewed = Bench::in_line(1, &["ex5"]);
    renewed.contact(true);
    assert_eq!(renewed.take_told(), ["lost"]);
}

#[test]
fn a_create_of_a_session_that_is_over_is_no_concern_of_the_next() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.step(suspended());
    bench.step(lost());
    bench.step(ask());
    bench.contact(true);
    bench.answer(Outcome::Create(Ok(place("ex4"))));
    bench.create("ex5");
    assert_eq!(bench.asks(), ["look ex5 and line"]);
}

#[test]
fn an_unsure_create_is_looked_for_before_another_one() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.step(suspended());
    bench.contact(false);
    assert_eq!(bench.asks(), ["create"], "its answer is on the way");
    bench.answer(Outcome::Create(disconnected()));
    assert_eq!(bench.asks(), ["find 0xa"]);
    bench.answer(Outcome::Find(Ok(Some(place("ex5")))));
    bench.look(&["ex5"]);
    assert_eq!(bench.take_told(), ["granted 77"]);

    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.answer(Outcome::Create(disconnected()));
    assert_eq!(bench.asks(), NOBODY, "the link is about to say that it is down");
    bench.step(suspended());
    bench.contact(false);
    bench.answer(Outcome::Find(Ok(None)));
    bench.create("ex5");
}

#[test]
fn a_create_that_is_answered_late_counts() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.step(suspended());
    bench.answer(Outcome::Create(Ok(place("ex5"))));
    assert_eq!(bench.asks(), NOBODY);
    bench.contact(false);
    assert_eq!(bench.asks(), ["look ex5 and line"]);

    // Its name may be another's by now, so it is not deleted unseen.
    let mut leaving = Bench::connected(1);
    leaving.step(ask());
    leaving.step(Event::GiveBack);
    leaving.step(suspended());
    leaving.contact(false);
    leaving.answer(Outcome::Create(Ok(place("ex5"))));
    assert_eq!(leaving.asks(), ["look ex5"]);
}

#[test]
fn a_line_without_us_grants_nothing() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.create("ex5");
    bench.look(&["ex6"]);
    assert_eq!(bench.take_told(), NOBODY);
    assert_eq!(bench.asks(), ["look ex5 and line"]);
}

#[test]
fn a_held_permit_is_held_while_suspended_and_verified_afterwards() {
    let mut bench = Bench::in_line(2, &["ex4", "ex5"]);
    bench.step(suspended());
    assert!(bench.permit.is_held());
    bench.contact(false);
    assert!(bench.permit.is_held());
    assert_eq!(bench.asks(), ["look ex5"], "nobody else matters");
    bench.look(&[]);
    assert_eq!((bench.take_told(), bench.asks()), (NOBODY, NOBODY));
    bench.step(suspended());
    bench.contact(false);
    bench.answer(Outcome::Look(Ok(None)));
    assert_eq!(bench.take_told(), ["lost"]);
}

#[test]
fn who_is_about_to_act_has_the_leader_look_at_its_contender() {
    let held = || {
        let mut bench = Bench::in_line(1, &["ex5"]);
        bench.step(Event::Confirm);
        assert_eq!(bench.asks(), ["prove ex5"]);
        bench
    };
    let mut bench = held();
    bench.answer(Outcome::Prove(Ok(())));
    assert_eq!(bench.take_told(), ["confirmed"]);
    let mut bench = held();
    bench.answer(Outcome::Prove(disconnected()));
    assert_eq!((bench.take_told(), bench.permit.is_held()), (vec!["unconfirmed".to_owned()], true));
    let mut bench = held();
    bench.answer(Outcome::Prove(Err(SessionError::NoNode(ZnodePath::root()))));
    assert_eq!((bench.take_told(), bench.permit.is_held()), (vec!["lost".to_owned()], false));
    // The session ends before the answer comes.
    let mut bench = held();
    bench.step(lost());
    assert_eq!(bench.take_told(), ["lost"]);
    bench.answer(Outcome::Prove(Ok(())));
    assert_eq!(bench.take_told(), NOBODY);
    // Who waits holds nothing that could be confirmed.
    let mut bench = Bench::in_line(1, &["ex4", "ex5"]);
    bench.take_told();
    bench.step(Event::Confirm);
    assert_eq!(bench.take_told(), ["unconfirmed"]);
}

#[test]
fn what_was_read_in_an_earlier_contact_grants_nothing() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.create("ex5");
    bench.step(suspended());
    bench.look(&["ex5"]);
    assert_eq!(bench.take_told(), NOBODY);
    bench.contact(false);
    bench.look(&["ex4", "ex5"]);
    assert_eq!(bench.take_told(), ["waiting behind 1"]);
    // Watches are gone with the contact, and set again.
    bench.read(THERE);
    bench.step(suspended());
    bench.contact(false);
    bench.look(&["ex4", "ex5"]);
    assert_eq!((bench.take_told(), bench.asks()), (NOBODY, vec!["read ex4 Yes".to_owned()]));
}

#[test]
fn a_refusal_is_told_once_and_tried_again() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    for round in 0..5 {
        bench.answer(Outcome::Create(Err(forbidden())));
        let told: &[&str] =
            if round == 0 { &["refused not authorised: /_zklocking/web"] } else { &[] };
        assert_eq!(bench.take_told(), told);
        assert_eq!(bench.asks(), NOBODY);
        bench.tick();
        assert_eq!(bench.asks(), ["create"]);
    }
    bench.create("ex5");
    bench.answer(Outcome::Look(Err(forbidden())));
    assert_eq!(bench.take_told(), ["refused not authorised: /_zklocking/web"]);
    bench.tick();
    bench.look(&["ex5"]);
    assert_eq!(bench.take_told(), ["granted 77"]);
    bench.step(Event::GiveBack);
    bench.answer(Outcome::Delete(Err(forbidden())));
    bench.tick();
    bench.answer(Outcome::Delete(Ok(())));
    assert_eq!(bench.take_told(), ["refused not authorised: /_zklocking/web", "left"]);
    assert_eq!(bench.permit.deadline(), None);
}

#[test]
fn what_comes_out_unsure_time_and_again_is_told_once_too() {
    let mut bench = Bench::connected(1);
    bench.step(ask());
    let garbled = || SessionError::Garbled(bench::path("ex"));
    let mut told = Vec::new();
    for _ in 0..5 {
        bench.answer(Outcome::Create(Err(garbled())));
        bench.tick();
        bench.answer(Outcome::Find(Ok(None)));
        told.append(&mut bench.take_told());
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn others_who_let_another_number_hold_are_told_of_once() {
    let theirs = |count| Presence::There { holders: Some(holders(count)) };
    let mut bench = Bench::connected(1);
    bench.step(ask());
    bench.create("ex5");
    bench.look(&["ex4", "ex5"]);
    bench.read(theirs(1));
    assert_eq!(bench.take_told(), ["waiting behind 1"]);
    bench.step(hint("ex4", Change::Deleted));
    bench.look(&["ex3", "ex5"]);
    bench.read(theirs(3));
    assert_eq!(bench.take_told(), ["unequal 1 3"]);
    bench.step(hint("ex3", Change::Data));
    bench.look(&["ex3", "ex5"]);
    bench.read(theirs(2));
    assert_eq!(bench.take_told(), NOBODY);

    // Also if it is our turn beside theirs.
    let mut bench = Bench::connected(2);
    bench.step(ask());
    bench.create("ex5");
    bench.look(&["ex4", "ex5"]);
    assert_eq!(
        (bench.take_told(), bench.asks()),
        (vec!["granted 77".to_owned()], vec!["read ex4 No".to_owned()])
    );
    bench.read(theirs(1));
    assert_eq!((bench.take_told(), bench.asks()), (vec!["unequal 2 1".to_owned()], NOBODY));
}
