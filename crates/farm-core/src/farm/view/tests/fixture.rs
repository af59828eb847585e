//! A farm view whose requests and news are short texts.

use super::super::*;
use super::{Value, json};
use crate::model::Record;
use crate::session::cache::{self, Found};
use crate::session::{Change, Stat, Watch, Znode};

pub(super) fn farm_path() -> ZnodePath {
    ZnodePath::parse("/db").unwrap()
}

pub(super) fn path(text: &str) -> ZnodePath {
    ZnodePath::parse(text).unwrap()
}

pub(super) fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

pub(super) fn record(value: &Value) -> Record {
    Record::from_map(value.as_object().unwrap().clone())
}

pub(super) fn hint(at: &str, change: Change) -> Event {
    Event::hint(path(at), change)
}

/// A request of a farm view, with the names of the hosts.
#[derive(Debug)]
pub(super) enum Ask {
    Arm(ZnodePath),
    Await(ZnodePath),
    List(ZnodePath, Watch),
    Read(Vec<(HostName, ZnodePath)>, Watch),
}

/// The answer of a server.
pub(super) enum Outcome {
    Arm(Result<(), SessionError>),
    Await(Result<bool, SessionError>),
    List(Result<Vec<String>, SessionError>),
    Read(Vec<(HostName, Result<Record, Unreadable>)>),
}

pub(super) fn ask_of(request: &Request) -> Ask {
    match request.ask() {
        cache::Ask::Arm(at) => Ask::Arm(at.clone()),
        cache::Ask::Await(at) => Ask::Await(at.clone()),
        cache::Ask::List(at, watch) => Ask::List(at.clone(), *watch),
        cache::Ask::Read(paths, watch) => {
            let hosts = paths.iter().map(|at| (host(at.name().unwrap()), at.clone()));
            Ask::Read(hosts.collect(), *watch)
        }
    }
}

/// A farm view, its open requests and its news.
pub(super) struct Fixture {
    pub(super) view: FarmView,
    pub(super) now: Instant,
    pub(super) asked: Vec<Request>,
    pub(super) news: Vec<String>,
    /// Counts writes as zxids; every read finds a new write.
    writes: i64,
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::parsing(Parse::Json)
    }

    pub(super) fn parsing(parse: Parse) -> Self {
        let view = FarmView::new(farm_path(), parse);
        Self { view, now: Instant::now(), asked: Vec::new(), news: Vec::new(), writes: 0 }
    }

    /// A view that watches the tree and has read the hosts `a` and `b`.
    pub(super) fn complete() -> Self {
        let mut fixture = Self::new();
        fixture.step(Event::connected(true));
        fixture.answer(|_| Outcome::Arm(Ok(())));
        fixture.list(&["a", "b"]);
        fixture.read_together(&[("a", json!({"n": 1})), ("b", json!({"n": 2}))]);
        assert_eq!(fixture.take_news(), ["changed a", "changed b", "complete"]);
        fixture
    }

    pub(super) fn step(&mut self, event: Event) {
        for action in self.view.step(self.now, event) {
            match action {
                Action::Request(request) => self.asked.push(request),
                Action::Report(news) => self.news.push(match news {
                    News::Changed(host) => format!("changed {host}"),
                    News::Complete => "complete".to_owned(),
                    News::Missing => "missing".to_owned(),
                    News::Refused(error) => format!("refused {error}"),
                    News::Unreadable(host, why) => format!("unreadable {host}: {why}"),
                    News::Readable(host) => format!("readable {host}"),
                    News::Skipped(name, why) => format!("skipped {name:?}: {why}"),
                }),
            }
        }
    }

    pub(super) fn asks(&self) -> Vec<String> {
        let name = |request: &Request| match ask_of(request) {
            Ask::Arm(at) => format!("arm {at}"),
            Ask::Await(at) => format!("await {at}"),
            Ask::List(at, watch) => format!("list {at} {watch:?}"),
            Ask::Read(hosts, watch) => {
                let paths: Vec<_> = hosts.iter().map(|(_, at)| at.as_str()).collect();
                format!("read {} {watch:?}", paths.join(" "))
            }
        };
        self.asked.iter().map(name).collect()
    }

    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// Answers the oldest open request.
    pub(super) fn answer(&mut self, outcome: impl FnOnce(&Ask) -> Outcome) {
        let request = self.asked.remove(0);
        self.deliver(&request, outcome);
    }

    pub(super) fn deliver(&mut self, request: &Request, outcome: impl FnOnce(&Ask) -> Outcome) {
        let outcome = match outcome(&ask_of(request)) {
            Outcome::Arm(answer) => cache::Outcome::Arm(answer),
            Outcome::Await(answer) => cache::Outcome::Await(answer),
            Outcome::List(answer) => cache::Outcome::List(answer),
            Outcome::Read(read) => {
                cache::Outcome::Read(read.into_iter().map(|(_, read)| self.found(read)).collect())
            }
        };
        self.step(Event::Answered(request.answer(outcome)));
    }

    fn found(&mut self, read: Result<Record, Unreadable>) -> Result<Found<Decoded>, SessionError> {
        let data = match read {
            Ok(record) => Ok(record.into()),
            Err(Unreadable::Malformed(error)) => Err(error),
            Err(Unreadable::Refused(error)) => return Err(error),
        };
        self.writes += 1;
        let stat = Stat { mzxid: self.writes, ..Stat::default() };
        Ok(Found { znode: Znode { data, stat }, bytes: 0 })
    }

    pub(super) fn list(&mut self, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.answer(|_| Outcome::List(Ok(names)));
    }

    /// Removes the open read of this host alone.
    pub(super) fn open_read(&mut self, name: &str) -> Request {
        let is_it = |request: &Request| matches!(&ask_of(request), Ask::Read(hosts, _) if matches!(&hosts[..], [(host, _)] if host.as_str() == name));
        let index = self.asked.iter().position(is_it).expect("the host is being read");
        self.asked.remove(index)
    }

    /// Answers the oldest open request, which reads these hosts together.
    pub(super) fn read_together(&mut self, records: &[(&str, Value)]) {
        self.answer(|ask| {
            let Ask::Read(asked, Watch::No) = ask else { panic!("{ask:?}") };
            let names: Vec<_> = asked.iter().map(|(host, _)| host.as_str()).collect();
            assert_eq!(names, records.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            let read = |(name, value): &(&str, Value)| (host(name), Ok(record(value)));
            Outcome::Read(records.iter().map(read).collect())
        });
    }

    pub(super) fn read(&mut self, name: &str, value: &Value) {
        self.read_as(name, Ok(record(value)));
    }

    pub(super) fn read_as(&mut self, name: &str, read: Result<Record, Unreadable>) {
        let request = self.open_read(name);
        self.deliver(&request, |_| Outcome::Read(vec![(host(name), read)]));
    }

    pub(super) fn farm(&self) -> Value {
        let hosts = self.view.farm().iter();
        hosts.map(|(name, record)| (name.to_string(), json!(record.unpack().as_map()))).collect()
    }
}

pub(super) fn no_node(at: &str) -> SessionError {
    SessionError::NoNode(path(at))
}

pub(super) fn forbidden(at: &str) -> Unreadable {
    Unreadable::Refused(SessionError::NoAuth(path(at)))
}

pub(super) fn malformed() -> Unreadable {
    Unreadable::Malformed(Parse::Json.decoder()(b"{".to_vec()).0.unwrap_err())
}
