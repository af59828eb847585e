//! Members against an in-memory server with faults, other members and operators.

use super::super::publish::{self, MemberZnode};
use super::super::state::{self, GroupState, News, Tried};
use super::*;
use crate::farm::permit::GroupName;
use crate::session::live::{Live, Post};
use crate::session::{self, Action};
use farm_harness::{FakeServer, op, patience};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(15);
const V: &str = "0123456789ab";

fn version() -> Version {
    V.parse().unwrap()
}

fn paths() -> StatePaths {
    StatePaths::of(&GroupName::parse("a/b").unwrap()).unwrap()
}

/// Creates the state of the group with one znode in it.
fn create_group(server: &FakeServer, name: &str) {
    for path in ["/_zkexec", "/_zkexec/a__b", &format!("/_zkexec/a__b/{name}")] {
        server.put(path, b"");
    }
}

/// The state of the group as one member follows it.
struct Member {
    state: GroupState,
    live: Live<state::Answer>,
    news: Vec<News>,
}

impl Member {
    fn at(server: &FakeServer, id: &str) -> Self {
        let live = Live::open(server.addr(), 2);
        let state = GroupState::new(paths(), id.to_owned(), format!("{id}-1"));
        let mut member = Self { state, live, news: Vec::new() };
        assert_eq!(member.next(), News::Control(Control::default()));
        member
    }

    fn step(&mut self, event: state::Event) {
        for action in self.state.step(Instant::now(), event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(self.live.session(), self.live.answers());
                }
                Action::Report(news) => self.news.push(news),
            }
        }
    }

    /// Handles one event, if there is one before the deadline.
    fn turn(&mut self, give_up: Instant) {
        let due = self.state.deadline().map_or(give_up, |due| due.min(give_up));
        match self.live.next(due) {
            Some(Post::Session(event)) => self.step(state::Event::Session(event)),
            Some(Post::Answer(answer)) => self.step(state::Event::Answered(answer)),
            None => self.step(state::Event::Tick),
        }
    }

    #[track_caller]
    fn next(&mut self) -> News {
        let give_up = Instant::now() + patience(TIMEOUT);
        while self.news.is_empty() {
            assert!(Instant::now() < give_up, "no news: {:?}", self.state);
            self.turn(give_up);
        }
        self.news.remove(0)
    }

    /// The next news about the version.
    #[track_caller]
    fn next_verdict(&mut self) -> (Option<Verdict>, u64) {
        match self.next() {
            News::Known(of, known) if of == version() => (known.verdict, known.round),
            other => panic!("no verdict but {other:?}"),
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let give_up = Instant::now() + patience(TIMEOUT);
        while !is_so() {
            assert!(Instant::now() < give_up, "{what}: {:?}", self.state);
            self.turn(Instant::now() + Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn tries(&mut self) -> Tried {
        self.step(state::Event::Try(version()));
        loop {
            match self.next() {
                News::Tried(tried) => return tried,
                News::Known(..) | News::Control(_) => {}
                other => panic!("not tried but {other:?}"),
            }
        }
    }
}

fn record(server: &FakeServer) -> Option<VersionRecord> {
    VersionRecord::read(&server.get(&format!("/_zkexec/a__b/versions/{V}"))?)
}

fn verdict(server: &FakeServer) -> Option<(Verdict, usize)> {
    record(server).map(|record| (record.verdict, record.tries))
}

#[test]
fn what_one_member_finds_out_the_other_ones_hear() {
    let server = FakeServer::start();
    let (mut one, mut other) = (Member::at(&server, "one"), Member::at(&server, "other"));
    for member in [&mut one, &mut other] {
        member.step(state::Event::Follow(version()));
        assert_eq!(member.next_verdict(), (None, 0));
    }
    assert_eq!(one.tries(), Tried::Allowed);
    assert_eq!(verdict(&server), Some((Verdict::Trying, 1)));
    assert_eq!(other.next_verdict(), (Some(Verdict::Trying), 0));
    one.step(state::Event::Refuse(version(), "it ended with 3".to_owned()));
    one.until("the refusal is written", || verdict(&server) == Some((Verdict::Refused, 1)));
    let News::Known(_, known) = other.next() else { panic!("nothing about the version") };
    assert_eq!(
        (known.by.as_deref(), known.reason.as_deref()),
        (Some("one"), Some("it ended with 3"))
    );
    assert_eq!(other.tries(), Tried::Refused);
    // The one that refused it may change its mind.
    one.step(state::Event::Confirm(version()));
    one.until("it is confirmed", || verdict(&server) == Some((Verdict::Confirmed, 0)));
}

#[test]
fn a_try_that_touched_nothing_is_taken_back_even_over_a_lost_answer() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    assert_eq!(member.tries(), Tried::Allowed);
    member.step(state::Event::Untouched);
    member.until("it is taken back", || verdict(&server) == Some((Verdict::Trying, 0)));
    // The answer to the write is lost, so nobody knows that it is written.
    server.before_reply(op::SET_DATA, FakeServer::cut);
    member.step(state::Event::Try(version()));
    member.until("it is written", || verdict(&server) == Some((Verdict::Trying, 1)));
    member.step(state::Event::Untouched);
    member.until("it is taken back", || verdict(&server) == Some((Verdict::Trying, 0)));
    // A lost answer does not count it twice.
    member.news.clear();
    server.before_reply(op::SET_DATA, FakeServer::cut);
    assert_eq!(member.tries(), Tried::Allowed);
    assert_eq!(verdict(&server), Some((Verdict::Trying, 1)));
}

#[test]
fn the_turn_on_the_files_has_an_outcome_of_its_own_while_newer_content_is_tried() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    assert_eq!(member.tries(), Tried::Allowed);
    let counted = record(&server).unwrap().trials;
    let newer: Version = "ffffffffffff".parse().unwrap();
    for _ in 0..2 {
        member.step(state::Event::Try(newer));
        assert_eq!(member.next(), News::Tried(Tried::Allowed));
        member.step(state::Event::Untouched);
    }
    member.step(state::Event::Try(newer));
    member.step(state::Event::Refuse(version(), "it ended with 3".to_owned()));
    member.until("the refusal is written", || verdict(&server) == Some((Verdict::Refused, 1)));
    assert_eq!(record(&server).unwrap().refused_in.as_ref(), Some(&counted[0].token));
    member.step(state::Event::Untouched);
    member.until("no try of the newer content is counted", || {
        let path = format!("/_zkexec/a__b/versions/{newer}");
        server.get(&path).and_then(|bytes| VersionRecord::read(&bytes)).unwrap().tries == 0
    });
}

#[test]
fn a_check_refuses_in_the_round_of_today() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    member.step(state::Event::Follow(version()));
    assert_eq!(member.next_verdict(), (None, 0));
    assert_eq!(member.tries(), Tried::Allowed);
    member.step(state::Event::Refuse(version(), "it ended with 3".to_owned()));
    member.until("it is refused", || verdict(&server) == Some((Verdict::Refused, 1)));
    let again = retry(&record(&server).unwrap(), "operator", None).unwrap();
    server.put(&format!("/_zkexec/a__b/versions/{V}"), &again.bytes());
    while member.next_verdict().1 == 0 {}
    // The child, which may have been started before the retry.
    member.step(state::Event::Refuse(version(), "it ended with 3".to_owned()));
    member.step(state::Event::RefuseUntried(version(), "check=".to_owned()));
    member.until("it is refused again", || verdict(&server) == Some((Verdict::Refused, 0)));
    assert_eq!(record(&server).unwrap().reason.as_deref(), Some("check="));
}

#[test]
fn a_refusal_during_an_outage_is_written_at_the_next_contact() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    assert_eq!(member.tries(), Tried::Allowed);
    server.refuse();
    server.cut();
    server.expire_all();
    member.step(state::Event::Refuse(version(), "bad".to_owned()));
    member.step(state::Event::Try("ffffffffffff".parse().unwrap()));
    server.accept();
    member.until("it is written", || verdict(&server) == Some((Verdict::Refused, 1)));
    // The right to the other try ended with the session.
    assert_eq!(server.children("/_zkexec/a__b/versions"), [V]);
}

#[test]
fn operators_hold_a_try_back() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    assert_eq!(member.tries(), Tried::Allowed);
    member.step(state::Event::Untouched);
    member.until("it is taken back", || verdict(&server) == Some((Verdict::Trying, 0)));
    for control in [r#"{"paused":true}"#, r#"{"skip":{"one":"0123456789ab"}}"#] {
        server.put("/_zkexec/a__b/control", control.as_bytes());
        assert_eq!(member.tries(), Tried::Held, "{control}");
        assert_eq!(verdict(&server), Some((Verdict::Trying, 0)));
    }
    server.put("/_zkexec/a__b/control", br#"{"skip":{"other":"0123456789ab"}}"#);
    assert_eq!(member.tries(), Tried::Allowed);
}

#[test]
fn what_holds_a_try_back_is_not_contradicted_by_what_was_read_before() {
    let server = FakeServer::start();
    create_group(&server, "control");
    let mut member = Member::at(&server, "one");
    server.put("/_zkexec/a__b/control", br#"{"paused":true,"restart":2}"#);
    member.step(state::Event::Try(version()));
    let mut held_up = Vec::new();
    while member.news.is_empty() {
        match member.live.next(Instant::now() + patience(TIMEOUT)).expect("an answer") {
            Post::Session(event) => held_up.push(event),
            Post::Answer(answer) => member.step(state::Event::Answered(answer)),
        }
    }
    let control = Control { is_paused: true, restart: 2, ..Control::default() };
    assert_eq!(member.news, [News::Control(control), News::Tried(Tried::Held)]);
    member.news.clear();
    server.put("/_zkexec/a__b/control", br#"{"restart":2}"#);
    held_up.into_iter().for_each(|event| member.step(state::Event::Session(event)));
    assert_eq!(member.next(), News::Control(Control { restart: 2, ..Control::default() }));
}

#[test]
fn the_answer_to_a_try_that_was_taken_back_is_not_one_to_the_next() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    create_group(&server, "versions");
    let refused = br#"{"v":1,"verdict":"refused"}"#;
    server.put(&format!("/_zkexec/a__b/versions/{V}"), refused);
    member.step(state::Event::Try(version()));
    let late = loop {
        match member.live.next(Instant::now() + patience(TIMEOUT)).expect("an answer") {
            Post::Session(event) => member.step(state::Event::Session(event)),
            Post::Answer(answer) => break answer,
        }
    };
    let next: Version = "ffffffffffff".parse().unwrap();
    member.step(state::Event::Untouched);
    member.step(state::Event::Try(next));
    member.step(state::Event::Answered(late));
    assert_eq!(member.news, []);
    assert_eq!(member.next(), News::Tried(Tried::Allowed));
    assert_eq!(server.children("/_zkexec/a__b/versions"), [V, "ffffffffffff"]);
}

#[test]
fn without_permission_turns_go_on_and_it_is_said_once() {
    let server = FakeServer::start();
    server.put("/_zkexec", b"");
    server.put("/_zkexec/a__b", b"");
    server.put("/_zkexec/a__b/versions", b"");
    server.lock("/_zkexec/a__b/versions", "digest", b"user:password");
    let mut member = Member::at(&server, "one");
    member.step(state::Event::Follow(version()));
    assert_eq!(member.next_verdict(), (None, 0));
    member.step(state::Event::Try(version()));
    assert!(matches!(member.next(), News::Unwritable(_)));
    assert_eq!(member.next(), News::Tried(Tried::Allowed));
    member.step(state::Event::Confirm(version()));
    assert_eq!(member.next(), News::Recorded);
    assert_eq!(member.tries(), Tried::Allowed);
}

#[test]
fn old_versions_go_unless_somebody_uses_them() {
    let server = FakeServer::start();
    let mut member = Member::at(&server, "one");
    let name = |number: u32| format!("{number:012x}");
    let used = r#"{"wanted":"000000000001","running":"000000000002"}"#;
    create_group(&server, "members");
    server.put("/_zkexec/a__b/members/x", used.as_bytes());
    for number in 0..20 {
        member.step(state::Event::Confirm(name(number).parse().unwrap()));
        assert_eq!(member.next(), News::Recorded);
    }
    let expected: Vec<String> = [1, 2].into_iter().chain(4..20).map(name).collect();
    member.until("the old ones are gone", || server.children("/_zkexec/a__b/versions") == expected);
}

/// A member that tells what it is doing.
struct Teller {
    znode: MemberZnode,
    live: Live<publish::Answer>,
    news: Vec<publish::News>,
}

impl Teller {
    fn at(server: &FakeServer) -> Self {
        let live = Live::open(server.addr(), 1);
        let path = paths().member("one").unwrap();
        Self { znode: MemberZnode::new(paths(), path, "one".to_owned()), live, news: Vec::new() }
    }

    fn step(&mut self, event: publish::Event) {
        for action in self.znode.step(Instant::now(), event) {
            match action {
                Action::Request(request) => {
                    request.dispatch(self.live.session(), self.live.answers());
                }
                Action::Report(news) => self.news.push(news),
            }
        }
    }

    fn tell(&mut self, pid: u64) {
        let host = Some("h".to_owned());
        let record = MemberRecord { host, pid: Some(pid), ..MemberRecord::default() };
        self.step(publish::Event::Publish(record));
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let give_up = Instant::now() + patience(TIMEOUT);
        while !is_so(self) {
            assert!(Instant::now() < give_up, "{what}: {:?}", self.znode);
            let soon = Instant::now() + Duration::from_millis(20);
            let due = self.znode.deadline().map_or(soon, |due| due.min(soon));
            match self.live.next(due) {
                Some(Post::Session(event)) => self.step(publish::Event::Session(event)),
                Some(Post::Answer(answer)) => self.step(publish::Event::Answered(answer)),
                None => self.step(publish::Event::Tick),
            }
        }
    }

    #[track_caller]
    fn is_told(&mut self, server: &FakeServer, pid: u64) {
        self.until("it is told", |_| told(server).and_then(|told| told.pid) == Some(pid));
    }
}

const ONE: &str = "/_zkexec/a__b/members/one";

fn told(server: &FakeServer) -> Option<MemberRecord> {
    server.get(ONE).map(|bytes| MemberRecord::read(&bytes))
}

#[test]
fn a_member_tells_what_it_does_as_long_as_it_lives() {
    let server = FakeServer::start();
    let mut member = Teller::at(&server);
    member.tell(1);
    member.is_told(&server, 1);
    assert_ne!(server.owner(ONE), Some(0));
    member.tell(2);
    member.is_told(&server, 2);
    server.delete(ONE);
    member.is_told(&server, 2);
    server.expire_all();
    member.until("its znode went with its session", |_| told(&server).is_none());
    member.is_told(&server, 2);
    // In an outage, only the last change is kept.
    server.refuse();
    server.cut();
    member.tell(3);
    member.tell(4);
    server.accept();
    member.is_told(&server, 4);
    assert!(member.news.is_empty(), "{:?}", member.news);
}

#[test]
fn a_member_tells_again_though_it_hears_of_the_deletion_before_the_answer() {
    let server = FakeServer::start();
    let mut member = Teller::at(&server);
    member.tell(1);
    let deadline = Instant::now() + patience(TIMEOUT);
    let answer = loop {
        match member.live.next(deadline).expect("an answer") {
            Post::Session(event) => member.step(publish::Event::Session(event)),
            Post::Answer(answer) => break answer,
        }
    };
    assert!(server.delete(ONE));
    loop {
        let Some(Post::Session(event)) = member.live.next(deadline) else { panic!("no hint") };
        let is_hint = matches!(event, session::Event::Hint(_));
        member.step(publish::Event::Session(event));
        if is_hint {
            break;
        }
    }
    member.step(publish::Event::Answered(answer));
    member.is_told(&server, 1);
}

#[test]
fn a_member_tells_again_though_it_is_deleted_between_the_write_and_the_watch() {
    let server = FakeServer::start();
    create_group(&server, "members");
    let mut member = Teller::at(&server);
    // It is created, which the member does not hear of, and then overwritten.
    server.before_reply(op::CREATE, FakeServer::cut);
    member.tell(1);
    member.until("it is created", |_| told(&server).is_some());
    member.tell(2);
    server.before_reply(op::SET_DATA, |server| assert!(server.delete(ONE)));
    member.is_told(&server, 2);
    assert!(member.news.is_empty(), "{:?}", member.news);
}

#[test]
fn changes_are_told_at_most_five_times_a_second() {
    let server = FakeServer::start();
    let mut member = Teller::at(&server);
    member.tell(0);
    member.is_told(&server, 0);
    let start = Instant::now();
    for pid in 1..=1000 {
        member.tell(pid);
    }
    member.is_told(&server, 1000);
    let seconds = start.elapsed().as_secs_f64();
    let writes = server.requests().iter().filter(|seen| seen.opcode == op::SET_DATA).count();
    assert!(writes as f64 <= 2.0 + 5.0 * seconds, "{writes} writes in {seconds} s");
}

#[test]
fn the_znode_of_an_earlier_process_is_replaced_and_one_of_another_host_is_not() {
    let server = FakeServer::start();
    create_group(&server, "members");
    let earlier = server.open_session(Duration::from_secs(100));
    // No process has such a pid.
    server.put_ephemeral(ONE, br#"{"host":"h","pid":99999999}"#, earlier);
    let mut member = Teller::at(&server);
    member.tell(2);
    member.is_told(&server, 2);
    assert_ne!(server.owner(ONE), Some(earlier));
    drop(member);
    // Process 1 runs everywhere.
    for (host, pid) in [("other", 99_999_999), ("h", 1)] {
        server.delete(ONE);
        let taken = format!(r#"{{"host":"{host}","pid":{pid}}}"#);
        server.put_ephemeral(ONE, taken.as_bytes(), earlier);
        let mut member = Teller::at(&server);
        member.tell(2);
        member.until("it is said", |member| !member.news.is_empty());
        assert_eq!(member.news, [publish::News::Taken { host: Some(host.to_owned()) }]);
        assert_eq!(told(&server).unwrap().pid, Some(pid));
        server.delete(ONE);
        member.is_told(&server, 2);
    }
}
