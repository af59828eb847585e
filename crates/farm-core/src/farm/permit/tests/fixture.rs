//! A permit on the bench: what it asks and tells, by short names.

use super::super::*;
use crate::session::{Change, ZnodePath};

impl Permit {
    /// Has it been asked for, and not been granted yet?
    pub(super) const fn is_waiting(&self) -> bool {
        self.wish.is_some() && !self.is_held()
    }
}

pub(super) const SESSION: i64 = 0xa;

pub(super) fn group() -> GroupName {
    GroupName::parse("web").unwrap()
}

pub(super) fn place(name: &str) -> Contender {
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

pub(super) fn told(news: &News) -> String {
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
    let names = |places: &[Contender]| {
        places.iter().map(|place| place.name().to_owned()).collect::<Vec<_>>().join(" ")
    };
    match ask {
        Ask::Create(_) => "create".to_owned(),
        Ask::Find(session) => format!("find {session}"),
        Ask::Look(place, Lineup::Wanted) => format!("look {} and line", place.name()),
        Ask::Look(place, Lineup::Unwanted) => format!("look {}", place.name()),
        Ask::Read(places, watch) => format!("read {} {watch:?}", names(places)),
        Ask::Delete(place) => format!("delete {}", place.name()),
        Ask::Prove(place) => format!("prove {}", place.name()),
    }
}

/// A permit with what it asked and told, by short names.
pub(super) struct Bench {
    pub(super) permit: Permit,
    pub(super) now: Instant,
    pub(super) open: Vec<Request>,
    told: Vec<String>,
}

impl Bench {
    pub(super) fn new(count: u32) -> Self {
        let contender = MemberId { host: "h".to_owned(), pid: 1 };
        let permit = Permit::new(group(), holders(count), contender);
        Self { permit, now: Instant::now(), open: Vec::new(), told: Vec::new() }
    }

    /// One with contact.
    pub(super) fn connected(count: u32) -> Self {
        let mut bench = Self::new(count);
        bench.contact(true);
        bench
    }

    /// One that has `ex5` in this line, and has read everything.
    pub(super) fn in_line(count: u32, line: &[&str]) -> Self {
        let mut bench = Self::connected(count);
        bench.step(ask());
        bench.create("ex5");
        bench.look(line);
        while bench.asks().first().is_some_and(|ask| ask.starts_with("read")) {
            bench.read(Presence::There { holders: None });
        }
        bench.told.clear();
        bench
    }

    pub(super) fn contact(&mut self, is_new: bool) {
        self.step(Event::Session(session::Event::connected(SESSION, is_new)));
    }

    pub(super) fn step(&mut self, event: Event) {
        for action in self.permit.step(self.now, event) {
            match action {
                Action::Ask(request) => self.open.push(request),
                Action::Tell(news) => self.told.push(told(&news)),
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

    pub(super) fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Answers the oldest open request.
    pub(super) fn answer(&mut self, outcome: Outcome) {
        let request = self.open.remove(0);
        self.step(Event::Answered(Answer { ticket: request.ticket, outcome }));
    }

    pub(super) fn create(&mut self, name: &str) {
        assert_eq!(self.asks(), ["create"]);
        self.answer(Outcome::Create(Ok(place(name))));
    }

    /// Ours is there, and this is the line.
    pub(super) fn look(&mut self, line: &[&str]) {
        assert!(self.asks()[0].starts_with("look "), "{:?}", self.asks());
        let stat = Stat { czxid: 77, ephemeral_owner: SESSION, ..Stat::default() };
        self.answer(Outcome::Look(Ok(Some((stat, Queue::of(line))))));
    }

    /// All those that were asked about are like that.
    pub(super) fn read(&mut self, presence: Presence) {
        let Ask::Read(places, _) = self.open[0].ask.clone() else {
            panic!("no cards are read: {:?}", self.asks())
        };
        let cards = places.into_iter().map(|place| Neighbour { place, presence }).collect();
        self.answer(Outcome::Read(Ok(cards)));
    }
}
