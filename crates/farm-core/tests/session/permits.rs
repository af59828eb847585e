//! Permits over connections that break, beside members written in Ruby.

use crate::fixture::{WAIT_MAX, options};
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

/// A member of the group: the state machine, and a loop around it that the test drives.
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
        let session = Session::open(options(&[&server.addr()]), move |event| {
            drop(to_self.send(Post::Session(event)));
        });
        let contender = MemberId { host: "db-01".to_owned(), pid: 4711 };
        let holders = NonZeroU32::new(holders).unwrap();
        let permit = Permit::new(GroupName::parse(GROUP).unwrap(), holders, contender);
        let (id, is_suspended, contacts) = (None, false, 0);
        let mut member = Self { permit, session, posts, outbox, id, is_suspended, contacts };
        member.until("it is connected", |member, _| member.id.is_some());
        member
    }

    fn step(&mut self, event: Event) -> Vec<News> {
        let mut news = Vec::new();
        for action in self.permit.step(Instant::now(), event) {
            match action {
                Action::Request(request) => {
                    let outbox = self.outbox.clone();
                    request.dispatch(&self.session, move |answer| {
                        drop(outbox.send(Post::Answered(answer)));
                    });
                }
                Action::Report(item) => news.push(item),
            }
        }
        news
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

    /// Runs the loop until the condition holds; returns the news meanwhile.
    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self, &[News]) -> bool) -> Vec<News> {
        let deadline = Instant::now() + patience(WAIT_MAX);
        let mut news = Vec::new();
        while !is_so(self, &news) {
            let deadlines = self.permit.deadline().into_iter().chain(self.session.deadline());
            let wake = deadlines.min().map_or(deadline, |at| at.min(deadline));
            self.session.tick(Instant::now());
            match self.posts.recv_timeout(wake.saturating_duration_since(Instant::now())) {
                Ok(post) => news.extend(self.turn(post)),
                Err(_) => news.extend(self.step(Event::Tick)),
            }
            assert!(Instant::now() < deadline, "never: {what}; {news:?}, {:?}", self.permit);
        }
        news
    }

    /// Runs the loop until nothing has arrived for 50 ms.
    fn run_until_quiet(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        while let Ok(post) = self.posts.recv_timeout(Duration::from_millis(50)) {
            news.extend(self.turn(post));
        }
        news
    }

    /// Waits for the next connection.
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
        let news = self.until("granted", |member, _| member.permit.is_held());
        match news.last() {
            Some(News::Granted { id }) => *id,
            other => panic!("not granted: {other:?}"),
        }
    }

    #[track_caller]
    fn waiting(&mut self) -> usize {
        let is_waiting = |news: &[News]| matches!(news.last(), Some(News::Waiting { .. }));
        let news = self.until("waiting", |_, news| is_waiting(news));
        match news.last() {
            Some(News::Waiting { ahead }) => *ahead,
            other => panic!("not waiting: {other:?}"),
        }
    }

    #[track_caller]
    fn leave(&mut self) {
        let mut news = self.step(Event::GiveBack);
        let is_left = |news: &[News]| matches!(news.last(), Some(News::Left));
        if !is_left(&news) {
            news = self.until("left", |_, news| is_left(news));
        }
        assert!(is_left(&news));
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
    assert!(third.run_until_quiet().is_empty());
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
        second.until("the queue is read again", is_read);
        second.run_until_quiet();
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
    let news = member.until("lost", |member, _| !member.permit.is_held());
    assert!(matches!(news.last(), Some(News::Lost)), "{news:?}");
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
        let news = member.until("lost", |_, news| !news.is_empty());
        assert!(matches!(news[..], [News::Lost]), "{news:?}");
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
    let news = member.until("left", |_, news| !news.is_empty());
    assert!(matches!(news[..], [News::Left]), "{news:?}");
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
        second.run_until_quiet();
        let before = server.requests().len();
        let start = Instant::now();
        second.leave();
        *took = start.elapsed();
        let after = server.requests();
        let asked: Vec<_> = after[before..].iter().map(|seen| seen.opcode).collect();
        assert_eq!(asked, [op::DELETE]);
        assert_eq!(server.children(DIRECTORY), ["ex0000000000"]);
    }
    // The machine may be busy: the median counts.
    took.sort_unstable();
    assert!(took[2] < patience(Duration::from_millis(100)), "{took:?}");
}

#[test]
fn a_turn_that_ends_wakes_only_the_next_in_the_queue() {
    let server = FakeServer::start();
    let mut members: Vec<Member> = (0..6).map(|_| Member::at(&server, 2)).collect();
    for member in &mut members {
        member.ask();
        member.until("granted or waiting", |_, news| !news.is_empty());
        member.run_until_quiet();
    }
    let before = count(&server, op::GET_CHILDREN);
    members[0].leave();
    members[2].granted();
    for member in &mut members[1..] {
        member.run_until_quiet();
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
    // The directory is deleted again and again before the contender is created.
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
fn foreign_znodes_in_the_directory_do_no_harm() {
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
    assert!(member.run_until_quiet().is_empty(), "one is still before us");
    server.delete(&format!("{DIRECTORY}/ex0000000002"));
    member.granted();
}

#[test]
fn another_number_of_holders_is_reported() {
    let server = FakeServer::start();
    let ruby = server.open_session(Duration::from_secs(40));
    server.put_ephemeral(&format!("{DIRECTORY}/ex0000000000"), b"", ruby);
    let mut member = Member::at(&server, 3);
    member.ask();
    let news = member.until("unequal", |_, news| news.len() > 1);
    let [News::Granted { .. }, News::UnequalHolders { ours, theirs }] = news[..] else {
        panic!("{news:?}")
    };
    assert_eq!((ours.get(), theirs.get()), (3, 1));
}

#[test]
fn a_forbidden_directory_is_reported_and_retried() {
    let server = FakeServer::start();
    server.put(DIRECTORY, b"");
    let mut member = Member::at(&server, 1);
    for _ in 0..2 {
        server.answer_with(op::CREATE, code::NO_AUTH);
    }
    member.ask();
    let news = member.until("granted", |member, _| member.permit.is_held());
    assert!(matches!(news[..], [News::Refused(_), News::Granted { .. }]), "{news:?}");
    assert_eq!(member.permit.deadline(), None);
}
