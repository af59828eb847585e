//! Permits over links that break, beside members written in Ruby.

use crate::guest::{PATIENCE, config};
use farm_core::farm::permit::{Action, Answer, Contender, Event, GroupName, News, Permit};
use farm_core::session::{self, Session, SessionId};
use farm_harness::{FakeServer, op, patience};
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
}

impl Member {
    fn at(server: &FakeServer, holders: u32) -> Self {
        let (outbox, posts) = channel();
        let to_self = outbox.clone();
        let session = Session::open(config(&[&server.addr()]), move |event| {
            drop(to_self.send(Post::Session(event)));
        });
        let contender = Contender { host: "db-01".to_owned(), pid: 4711 };
        let holders = NonZeroU32::new(holders).unwrap();
        let permit = Permit::new(GroupName::parse(GROUP).unwrap(), holders, contender);
        let mut member = Self { permit, session: session.unwrap(), posts, outbox, id: None };
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
                    session::Event::Connected { session, .. } => self.id = Some(*session),
                    session::Event::Lost => self.session.renew(Instant::now()),
                    _ => {}
                }
                Event::of_session(&event).map(|event| self.step(event)).unwrap_or_default()
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

    /// Does what is there to do, until nothing has come for that long.
    fn settle(&mut self) -> Vec<News> {
        let mut told = Vec::new();
        while let Ok(post) = self.posts.recv_timeout(Duration::from_millis(50)) {
            told.extend(self.turn(post));
        }
        told
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
    assert!(member.permit.is_waiting());
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
    assert!(!member.permit.is_held() && !member.permit.is_waiting());
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
