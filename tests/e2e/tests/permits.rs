//! The lock of rolling restarts on a real server, together with members written in Ruby.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test as well")]

use farm_core::farm::permit::{Action, Answer, Event, GroupName, MemberId, News, Permit};
use farm_core::session::{self, Acl, Auth, Servers, Session, SessionOptions};
use farm_harness::{Chroot, Ensemble, FaultProxy, Zk, ZkError, patience};
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

const DIRECTORY: &str = "/_zklocking/web";
const PATIENCE: Duration = Duration::from_secs(20);

enum Post {
    Session(session::Event),
    Answered(Answer),
}

struct Member {
    permit: Permit,
    session: Session,
    posts: Receiver<Post>,
    outbox: Sender<Post>,
    contacts: u32,
}

impl Member {
    fn open(servers: &str, holders: u32) -> Self {
        let (outbox, posts) = channel();
        let to_self = outbox.clone();
        let config = SessionOptions {
            servers: Servers::parse(servers).unwrap(),
            session_timeout: Duration::from_secs(10),
            rounds_max: None,
            request_threads: 2,
            auth: Auth::default(),
            acl: Acl::open(),
            tls: None,
        };
        let session = Session::open(config, move |event| {
            drop(to_self.send(Post::Session(event)));
        });
        let contender = MemberId { host: "web-01".to_owned(), pid: 1 };
        let group = GroupName::parse("web").unwrap();
        let permit = Permit::new(group, NonZeroU32::new(holders).unwrap(), contender);
        Self { permit, session, posts, outbox, contacts: 0 }
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
                Action::Report(one) => news.push(one),
            }
        }
        news
    }

    /// Handles the next message; returns `None` if none comes before the deadline.
    fn handle_next(&mut self, deadline: Instant) -> Option<Vec<News>> {
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.posts.recv_timeout(wait).ok()? {
            Post::Answered(answer) => Some(self.step(Event::Answered(answer))),
            Post::Session(event) => {
                self.contacts += u32::from(matches!(event, session::Event::Connected { .. }));
                Some(self.step(Event::Session(event)))
            }
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, is_so: impl Fn(&Self, &[News]) -> bool) -> Vec<News> {
        let deadline = Instant::now() + patience(PATIENCE);
        let mut news = Vec::new();
        while !is_so(self, &news) {
            match self.handle_next(self.permit.deadline().map_or(deadline, |at| at.min(deadline))) {
                Some(more) => news.extend(more),
                None => news.extend(self.step(Event::Tick)),
            }
            assert!(Instant::now() < deadline, "never: {what}; {news:?}, {:?}", self.permit);
        }
        news
    }

    #[track_caller]
    fn ask(&mut self) {
        assert!(self.step(Event::Ask { why: "config changed".to_owned() }).is_empty());
    }

    #[track_caller]
    fn wait_held(&mut self) {
        self.until("held", |member, _| member.permit.is_held());
    }

    #[track_caller]
    fn wait_queued(&mut self) {
        let is_waiting = |news: &[News]| matches!(news, [.., News::Waiting { .. }]);
        self.until("waiting", |_, news| is_waiting(news));
    }

    #[track_caller]
    fn leave(&mut self) {
        let news = self.step(Event::GiveBack);
        assert!(news.is_empty(), "{news:?}");
        self.until("left", |_, news| matches!(news, [.., News::Left]));
    }
}

fn member_at(chroot: &Chroot<'_>, holders: u32) -> Member {
    Member::open(&chroot.connect_string(), holders)
}

/// Queues as the Ruby gem does.
fn ruby_enqueue(zk: &mut Zk) -> String {
    loop {
        match zk.create_sequential(&format!("{DIRECTORY}/ex"), "") {
            Ok(name) => return name,
            Err(ZkError::NoNode) => drop(zk.create_all(DIRECTORY, "")),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Leaves the queue as the gem does: the last contender deletes the directory.
fn ruby_leave(zk: &mut Zk, name: &str) {
    zk.delete(&format!("{DIRECTORY}/{name}")).unwrap();
    match zk.delete(DIRECTORY) {
        Ok(()) | Err(ZkError::NotEmpty | ZkError::NoNode) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn members_in_ruby_and_ours_take_turns_in_one_queue() {
    let chroot = Ensemble::shared().chroot("members_in_ruby_and_ours_take_turns_in_one_queue");
    let (mut first, mut second, mut ruby) =
        (member_at(&chroot, 1), member_at(&chroot, 1), chroot.zk());
    let in_ruby = ruby_enqueue(&mut ruby);
    first.ask();
    first.wait_queued();
    second.ask();
    second.wait_queued();
    let again = ruby_enqueue(&mut ruby);
    ruby_leave(&mut ruby, &in_ruby);
    first.wait_held();
    // The gem holds the lock when its contender is the first of all children.
    assert_ne!(ruby.children(DIRECTORY).unwrap().first(), Some(&again));
    first.leave();
    second.wait_held();
    assert_ne!(ruby.children(DIRECTORY).unwrap().first(), Some(&again));
    second.leave();
    assert_eq!(ruby.children(DIRECTORY).unwrap(), std::slice::from_ref(&again));
    ruby_leave(&mut ruby, &again);
    assert_eq!(ruby.exists(DIRECTORY).unwrap(), None);
    first.ask();
    first.wait_held();
}

#[test]
fn a_directory_that_comes_and_goes_stops_nobody() {
    let chroot = Ensemble::shared().chroot("a_directory_that_comes_and_goes_stops_nobody");
    let mut client = chroot.zk();
    std::thread::scope(|scope| {
        // Inside the scope, so that a failure in it ends the thread, too.
        let (until_dropped, is_done) = channel::<()>();
        let mut zk = chroot.zk();
        let ruby = scope.spawn(move || {
            let mut turns = 0_u32;
            while matches!(is_done.try_recv(), Err(TryRecvError::Empty)) {
                let name = ruby_enqueue(&mut zk);
                ruby_leave(&mut zk, &name);
                turns += 1;
            }
            turns
        });
        let mut member = member_at(&chroot, 1);
        for _ in 0..100 {
            member.ask();
            member.wait_held();
            member.leave();
        }
        drop(until_dropped);
        assert!(ruby.join().unwrap() > 10);
    });
    let left = client.children(DIRECTORY).unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_waiting_member_that_is_cut_off_has_one_contender_at_any_moment() {
    let chroot = Ensemble::shared().chroot("a_waiting_member_that_is_cut_off_has_one_contender");
    let server = Ensemble::shared().server(0).addr();
    let proxy = FaultProxy::start(server);
    let mut client = chroot.zk();
    let first = ruby_enqueue(&mut client);
    let mut member = Member::open(&format!("{}{}", proxy.addr(), chroot.path()), 1);
    member.until("connected", |member, _| member.contacts > 0);
    for round in 1..=5 {
        if round == 1 {
            // The connection breaks while the member creates its contender.
            member.ask();
        }
        let before = member.contacts;
        proxy.cut();
        member.until("connected again", |member, _| member.contacts > before);
        if round == 1 {
            member.wait_queued();
        }
        let contenders = client.children(DIRECTORY).unwrap();
        assert_eq!(contenders.len(), 2, "{contenders:?}");
    }
    ruby_leave(&mut client, &first);
    member.wait_held();
    member.leave();
    assert!(client.children(DIRECTORY).unwrap().is_empty());
}

#[test]
fn leaving_the_queue_takes_less_than_a_tenth_of_a_second() {
    let chroot = Ensemble::shared().chroot("leaving_the_queue_takes_less_than_a_tenth");
    let mut client = chroot.zk();
    ruby_enqueue(&mut client);
    let mut member = member_at(&chroot, 1);
    let mut took = [Duration::ZERO; 10];
    for took in &mut took {
        member.ask();
        member.wait_queued();
        let start = Instant::now();
        member.leave();
        *took = start.elapsed();
        assert_eq!(client.children(DIRECTORY).unwrap().len(), 1);
    }
    // The median, because the machine may be busy at times.
    took.sort_unstable();
    assert!(took[5] < patience(Duration::from_millis(100)), "{took:?}");
}
