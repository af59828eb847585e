//! A permit whose requests and news are short texts.

use super::super::*;
use crate::session::{Change, ZnodePath};

impl Permit {
    /// Whether the owner wants the permit and does not have it yet.
    pub(super) const fn is_waiting(&self) -> bool {
        self.reason.is_some() && !self.is_held()
    }
}

pub(super) const SESSION: i64 = 0xa;

pub(super) fn group() -> GroupName {
    GroupName::parse("web").unwrap()
}

pub(super) fn contender(name: &str) -> Contender {
    Contender::parse(name).unwrap()
}

pub(super) fn path(name: &str) -> ZnodePath {
    group().directory().child(name).unwrap()
}

pub(super) fn hint(name: &str, change: Change) -> Event {
    hint_at(path(name), change)
}

pub(super) fn hint_at(path: ZnodePath, change: Change) -> Event {
    Event::Session(session::Event::Hint(Hint { path, change }))
}

pub(super) fn suspended() -> Event {
    Event::Session(session::Event::suspended())
}

pub(super) const fn lost() -> Event {
    Event::Session(session::Event::Lost)
}

pub(super) fn ask() -> Event {
    Event::Ask { why: "x".to_owned() }
}

pub(super) fn forbidden() -> SessionError {
    SessionError::NoAuth(group().directory().clone())
}

pub(super) fn holders(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

pub(super) fn text_of(news: &News) -> String {
    match news {
        News::Waiting { ahead } => format!("waiting behind {ahead}"),
        News::Granted { id } => format!("granted {id}"),
        News::Confirmed => "confirmed".to_owned(),
        News::Unconfirmed => "unconfirmed".to_owned(),
        News::Lost => "lost".to_owned(),
        News::Left => "left".to_owned(),
        News::UnequalHolders { ours, theirs } => format!("unequal {ours} {theirs}"),
        News::Refused(error) => format!("refused {error}"),
    }
}

fn asked(ask: &Ask) -> String {
    let names = |contenders: &[Contender]| {
        contenders.iter().map(|contender| contender.name().to_owned()).collect::<Vec<_>>().join(" ")
    };
    match ask {
        Ask::Create(_) => "create".to_owned(),
        Ask::Find(session) => format!("find {session}"),
        Ask::Look(contender, ListQueue::Yes) => format!("look {} and queue", contender.name()),
        Ask::Look(contender, ListQueue::No) => format!("look {}", contender.name()),
        Ask::Read(contenders, watch) => format!("read {} {watch:?}", names(contenders)),
        Ask::Delete(contender) => format!("delete {}", contender.name()),
        Ask::Prove(contender) => format!("prove {}", contender.name()),
    }
}

/// A permit, its open requests and its news.
pub(super) struct Fixture {
    pub(super) permit: Permit,
    pub(super) now: Instant,
    pub(super) open: Vec<Request>,
    news: Vec<String>,
}

impl Fixture {
    pub(super) fn new(count: u32) -> Self {
        let member = MemberId { host: "h".to_owned(), pid: 1 };
        let permit = Permit::new(group(), holders(count), member);
        Self { permit, now: Instant::now(), open: Vec::new(), news: Vec::new() }
    }

    /// A permit with a connection.
    pub(super) fn connected(count: u32) -> Self {
        let mut fixture = Self::new(count);
        fixture.connect(true);
        fixture
    }

    /// A permit that has `ex5` in this queue, and has read everything.
    pub(super) fn in_queue(count: u32, queue: &[&str]) -> Self {
        let mut fixture = Self::connected(count);
        fixture.step(ask());
        fixture.create("ex5");
        fixture.look(queue);
        while fixture.asks().first().is_some_and(|ask| ask.starts_with("read")) {
            fixture.read(Presence::There { holders: None });
        }
        fixture.news.clear();
        fixture
    }

    pub(super) fn connect(&mut self, is_new: bool) {
        self.step(Event::Session(session::Event::connected(SESSION, is_new)));
    }

    pub(super) fn step(&mut self, event: Event) {
        for action in self.permit.step(self.now, event) {
            match action {
                Action::Request(request) => self.open.push(request),
                Action::Report(news) => self.news.push(text_of(&news)),
            }
        }
    }

    pub(super) fn tick(&mut self) {
        self.now = self.permit.deadline().expect("there is a deadline");
        self.step(Event::Tick);
    }

    pub(super) fn asks(&self) -> Vec<String> {
        self.open.iter().map(|request| asked(&request.ask)).collect()
    }

    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// Answers the oldest open request.
    pub(super) fn answer(&mut self, outcome: Outcome) {
        let request = self.open.remove(0);
        self.step(Event::Answered(Answer { ticket: request.ticket, outcome }));
    }

    pub(super) fn create(&mut self, name: &str) {
        assert_eq!(self.asks(), ["create"]);
        self.answer(Outcome::Create(Ok(contender(name))));
    }

    /// Our contender exists, and this is the queue.
    pub(super) fn look(&mut self, queue: &[&str]) {
        assert!(self.asks()[0].starts_with("look "), "{:?}", self.asks());
        let stat = Stat { czxid: 77, ephemeral_owner: SESSION, ..Stat::default() };
        self.answer(Outcome::Look(Ok(Some((stat, Queue::of(queue))))));
    }

    /// All neighbours that are being read have this presence.
    pub(super) fn read(&mut self, presence: Presence) {
        let Ask::Read(contenders, _) = self.open[0].ask.clone() else {
            panic!("no neighbours are read: {:?}", self.asks())
        };
        let neighbours =
            contenders.into_iter().map(|contender| Neighbour { contender, presence }).collect();
        self.answer(Outcome::Read(Ok(neighbours)));
    }
}
