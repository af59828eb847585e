//! Permits over links that break, beside members written in Ruby.

use crate::guest::{PATIENCE, config};
use farm_core::farm::permit::{Action, Answer, Event, GroupName, MemberId, News, Permit};
use farm_core::session::{self, Session, SessionId};
use farm_harness::{FakeServer, code, op, patience};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

const GROUP: &str = "services/db";
const DIRECTORY: &str = "/_zklocking/services__db";

enum Post {
    Session(session::Event),
    Answered(Answer),
}

/// A member of the group: the machine, and a loop around it that the test turns.
struct Member {
    permit: Permit,
    session: Session,
    posts: Receiver<Post>,
    outbox: Sender<Post>,
    id: Option<SessionId>,
    is_suspended: bool,
    contacts: u32,
}

impl Member {
    fn at(server: &FakeServer, holders: u32) -> Self {
        let (outbox, posts) = channel();
        let to_self = outbox.clone();
        let session = Session::open(config(&[&server.addr()]), move |event| {
            drop(to_self.send(Post::Session(event)));
        });
        let contender = MemberId { host: "db-01".to_owned(), pid: 4711 };
        let holders = NonZeroU32::new(holders).unwrap();
        let permit = Permit::new(GroupName::parse(GROUP).unwrap(), holders, contender);
        let session = session.unwrap();
        let (id, is_suspended, contacts) = (None, false, 0);
        let mut member = Self { permit, session, posts, outbox, id, is_suspended, contacts };
        member.until("it is connected", |member, _| member.id.is_some());
        member
    }

    fn step(&mut self, event: Event) -> Vec<News> {
        let mut told = Vec::new();
        for action in self.permit.step(Instant::now(), event) {
            match action {
                Action::Ask(request) => {
                    let outbox = self.outbox.clone();
                    request.dispatch(&self.session, move |answer| {
                        drop(outbox.send(Post::Answered(answer)));
                    });
                }
                Action::Tell(news) => told.push(news),
            }
        }
        told
    }

    fn turn(&mut self, post: Post) -> Vec<News> {
        match post {
            Post::Answered(answer) => self.step(Event::Answered(answer)),
            Post::Session(event) => {
                match &event {
                    session::Event::Suspended(_) => self.is_suspended = true,
                    session::Event::Connected { session, .. } => {
                        self.id = Some(*session);
                        self.contacts += 1;
                    }
                    session::Event::Lost => self.session.renew(Instant::now()),
                    _ => {}
                }
                self.step(Event::Session(event))
            }
        }
    }

    /// Turns the loop until that is so; gives what was told meanwhile.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self, &[News]) -> bool) -> Vec<News> {
        let deadline = Instant::now() + patience(PATIENCE);
        let mut told = Vec::new();
        while !is_so(self, &told) {
            let wake = self.permit.deadline().map_or(deadline, |at| at.min(deadline));
            match self.posts.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(post) => told.extend(self.turn(post)),
                Err(_) => told.extend(self.step(Event::Tick)),
            }
            assert!(Instant::now() < deadline, "never: {what}; {told:?}, {:?}", self.permit);
        }
        told
    }

    /// Does what there is to do, until nothing has come for a moment: whoever calls it
    /// knows that nothing should.
    fn settle(&mut self) -> Vec<News> {
        let mut told = Vec::new();
        while let Ok(post) = self.posts.recv_timeout(Duration::from_millis(50)) {
            told.extend(self.turn(post));
        }
        told
    }

    /// Comes back after a cut.
    #[track_caller]
    fn reconnected(&mut self) {
        let before = self.contacts;
        self.until("connected again", |member, _| member.contacts > before);
    }

    fn ask(&mut self) {
        assert!(self.step(Event::Ask { why: "config changed".to_owned() }).is_empty());
    }

    #[track_caller]
    fn granted(&mut self) -> i64 {
        let told = self.until("granted", |member, _| member.permit.is_held());
        match told.last() {
            Some(News::Granted { id }) => *id,
            other => panic!("not granted: {other:?}"),
        }
    }

    #[track_caller]
    fn waiting(&mut self) -> usize {
        let is_waiting = |told: &[News]| matches!(told.last(), Some(News::Waiting { .. }));
        let told = self.until("waiting", |_, told| is_waiting(told));
        match told.last() {
            Some(News::Waiting { ahead }) => *ahead,
            other => panic!("not waiting: {other:?}"),
        }
    }

    #[track_caller]
    fn leave(&mut self) {
        let mut told = self.step(Event::GiveBack);
        let is_left = |told: &[News]| matches!(told.last(), Some(News::Left));
        if !is_left(&told) {
            told = self.until("left", |_, told| is_left(told));
        }
        assert!(is_left(&told));
    }
}

fn count(server: &FakeServer, opcode: i32) -> usize {
    server.requests().iter().filter(|seen| seen.opcode == opcode).count()
}

#[test]
fn a_turn_begins_and_ends() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, 1);
    member.ask();
    assert!(!member.permit.is_held());
    assert!(member.granted() > 0);
    let contender = format!("{DIRECTORY}/ex0000000000");
    assert_eq!(server.owner(&contender), member.id.map(|id| id.0));
    let card: Value = serde_json::from_slice(&server.get(&contender).unwrap()).unwrap();
    assert!(card["since"].as_i64().unwrap() > 1_700_000_000_000, "{card}");
    let since = card["since"].clone();
    let expected =
        json!({"host": "db-01", "n": 1, "pid": 4711, "since": since, "why": "config changed"});
    assert_eq!(card, expected);
    member.leave();
    assert!(server.children(DIRECTORY).is_empty());
    assert!(!member.permit.is_held());
}

#[test]
fn turns_go_by_the_order_of_asking() {
    let server = FakeServer::start();
    let [mut first, mut second, mut third] = [(); 3].map(|()| Member::at(&server, 1));
    first.ask();
    let first_id = first.granted();
    second.ask();
    assert_eq!(second.waiting(), 1);
    third.ask();
    assert_eq!(third.waiting(), 2);
    first.leave();
    let second_id = second.granted();
    assert!(second_id > first_id);
    assert!(third.settle().is_empty());
    second.leave();
    third.granted();
}

#[test]
fn a_create_whose_answer_is_lost_is_found_again() {
    let server = FakeServer::start();
    server.put(DIRECTORY, b"");
    let mut member = Member::at(&server, 1);
    server.before_reply(op::CREATE, FakeServer::cut);
    member.ask();
    member.granted();
    assert_eq!(server.children(DIRECTORY), ["ex0000000000"]);
    assert_eq!(count(&server, op::CREATE), 1);
    member.leave();
    assert!(server.children(DIRECTORY).is_empty());
}

#[test]
fn a_member_that_reconnects_while_waiting_keeps_its_one_contender() {
    let server = FakeServer::start();
    let [mut first, mut second] = [(); 2].map(|()| Member::at(&server, 1));
    first.ask();
    first.granted();
    second.ask();
    second.waiting();
    for _ in 0..3 {
        let before = count(&server, op::GET_CHILDREN);
        server.cut();
        second.reconnected();
        let is_read = |_: &Member, _: &[News]| count(&server, op::GET_CHILDREN) > before;
        second.until("the line is read again", is_read);
        second.settle();
        assert_eq!(count(&server, op::GET_CHILDREN), before + 1, "once");
        assert_eq!(server.children(DIRECTORY), ["ex0000000000", "ex0000000001"]);
    }
    first.reconnected();
    assert!(first.permit.is_held());
    first.leave();
    second.granted();
}

#[test]
fn surplus_contenders_of_ours_are_deleted_and_the_first_one_kept() {
    let server = FakeServer::start();
    let other = server.open_session(Duration::from_secs(40));
    server.put_ephemeral(&format!("{DIRECTORY}/ex0000000000"), b"", other);
    let mut member = Member::at(&server, 1);
    let session = member.id.unwrap();
    server.before_reply(op::CREATE, move |server| {
        server.put_ephemeral(&format!("{DIRECTORY}/ex0000000007"), b"", session.0);
        server.put_ephemeral(&format!("{DIRECTORY}/ex0000000008"), b"", other);
        server.cut();
    });
    member.ask();
    assert_eq!(member.waiting(), 1);
    let left = ["ex0000000000", "ex0000000001", "ex0000000008"];
    assert_eq!(server.children(DIRECTORY), left);
    assert_eq!(server.owner(&format!("{DIRECTORY}/ex0000000001")), Some(session.0));
}

#[test]
fn after_the_end_of_a_session_its_owner_asks_again() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, 1);
    member.ask();
    member.granted();
    let old = member.id.unwrap();
    server.expire(old.0);
    let told = member.until("lost", |member, _| !member.permit.is_held());
    assert!(matches!(told.last(), Some(News::Lost)), "{told:?}");
    member.ask();
    member.granted();
    assert_ne!(member.id, Some(old));
    assert_eq!(server.children(DIRECTORY).len(), 1);
}

#[test]
fn a_contender_deleted_by_hand_is_lost_at_once() {
    let server = FakeServer::start();
    let [mut first, mut second] = [(); 2].map(|()| Member::at(&server, 1));
    first.ask();
    first.granted();
    second.ask();
    second.waiting();
    for (member, name) in [(&mut second, "ex0000000001"), (&mut first, "ex0000000000")] {
        server.delete(&format!("{DIRECTORY}/{name}"));
        let told = member.until("lost", |_, told| !told.is_empty());
        assert!(matches!(told[..], [News::Lost]), "{told:?}");
        assert!(!member.permit.is_held());
    }
}

#[test]
fn giving_back_without_contact_is_finished_afterwards() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, 1);
    member.ask();
    member.granted();
    server.refuse();
    server.cut();
    member.until("suspended", |member, _| member.is_suspended);
    assert!(member.step(Event::GiveBack).is_empty());
    assert_eq!(server.children(DIRECTORY).len(), 1);
    server.accept();
    let told = member.until("left", |_, told| !told.is_empty());
    assert!(matches!(told[..], [News::Left]), "{told:?}");
    assert!(server.children(DIRECTORY).is_empty());
}

#[test]
fn giving_back_while_waiting_is_one_request() {
    let server = FakeServer::start();
    let [mut first, mut second] = [(); 2].map(|()| Member::at(&server, 1));
    first.ask();
    first.granted();
    let mut took = [Duration::ZERO; 5];
    for took in &mut took {
        second.ask();
        second.waiting();
        second.settle();
        let before = server.requests().len();
        let start = Instant::now();
        second.leave();
        *took = start.elapsed();
        let after = server.requests();
        let asked: Vec<_> = after[before..].iter().map(|seen| seen.opcode).collect();
        assert_eq!(asked, [op::DELETE]);
        assert_eq!(server.children(DIRECTORY), ["ex0000000000"]);
    }
    // The machine may be busy for a moment.
    took.sort_unstable();
    assert!(took[2] < patience(Duration::from_millis(100)), "{took:?}");
}

#[test]
fn a_turn_that_ends_wakes_only_those_whom_it_concerns() {
    let server = FakeServer::start();
    let mut members: Vec<Member> = (0..6).map(|_| Member::at(&server, 2)).collect();
    for member in &mut members {
        member.ask();
        member.until("granted or waiting", |_, told| !told.is_empty());
        member.settle();
    }
    let before = count(&server, op::GET_CHILDREN);
    members[0].leave();
    members[2].granted();
    for member in &mut members[1..] {
        member.settle();
    }
    let held = members.iter().map(|member| member.permit.is_held()).collect::<Vec<_>>();
    assert_eq!(held, [false, true, true, false, false, false]);
    assert_eq!(count(&server, op::GET_CHILDREN) - before, 1, "only one had watched it");
}

#[test]
fn a_directory_that_others_remove_is_made_again() {
    let server = FakeServer::start();
    server.put(DIRECTORY, b"");
    let mut member = Member::at(&server, 1);
    // It goes again and again between its creation and ours.
    for _ in 0..8 {
        server.before_reply(op::CREATE, |server| {
            server.delete(DIRECTORY);
        });
    }
    server.delete(DIRECTORY);
    member.ask();
    member.granted();
    member.leave();
    server.delete(DIRECTORY);
    member.ask();
    member.granted();
    assert_eq!(server.children(DIRECTORY), ["ex0000000000"]);
}

#[test]
fn what_strangers_put_into_the_directory_does_no_harm() {
    let server = FakeServer::start();
    let other = server.open_session(Duration::from_secs(40));
    for name in ["ex-foo", "foo", "ex2147483648", "lock", "\u{e9}"] {
        server.put(&format!("{DIRECTORY}/{name}"), b"");
    }
    let huge = vec![b'['; 900_000];
    server.put_ephemeral(&format!("{DIRECTORY}/sh0000000001"), &huge, other);
    server.put_ephemeral(
        &format!("{DIRECTORY}/ex0000000002"),
        b"{\"n\":-1,\"why\":\"\x1b[2J",
        other,
    );
    let mut member = Member::at(&server, 1);
    member.ask();
    assert_eq!(member.waiting(), 2);
    server.delete(&format!("{DIRECTORY}/sh0000000001"));
    assert!(member.settle().is_empty(), "one is still before us");
    server.delete(&format!("{DIRECTORY}/ex0000000002"));
    member.granted();
}

#[test]
fn a_number_of_holders_that_is_not_ours_is_told_of() {
    let server = FakeServer::start();
    let ruby = server.open_session(Duration::from_secs(40));
    server.put_ephemeral(&format!("{DIRECTORY}/ex0000000000"), b"", ruby);
    let mut member = Member::at(&server, 3);
    member.ask();
    let told = member.until("unequal", |_, told| told.len() > 1);
    let [News::Granted { .. }, News::UnequalHolders { ours, theirs }] = told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((ours.get(), theirs.get()), (3, 1));
}

#[test]
fn a_directory_that_is_forbidden_is_told_of_and_tried_again() {
    let server = FakeServer::start();
    server.put(DIRECTORY, b"");
    let mut member = Member::at(&server, 1);
    for _ in 0..2 {
        server.answer_with(op::CREATE, code::NO_AUTH);
    }
    member.ask();
    let told = member.until("granted", |member, _| member.permit.is_held());
    assert!(matches!(told[..], [News::Refused(_), News::Granted { .. }]), "{told:?}");
    assert_eq!(member.permit.deadline(), None);
}
