//! A cache with an in-memory server, and the requests in flight between them.

use super::super::*;
use crate::session::{Change, Stat};
use farm_harness::{MemoryServer, WatchEvent, code};

pub(super) fn path(text: &str) -> ZnodePath {
    ZnodePath::parse(text).unwrap()
}

pub(super) fn error(at: &ZnodePath, code: i32) -> SessionError {
    match code {
        code::NO_NODE => SessionError::NoNode(at.clone()),
        code::NO_AUTH => SessionError::NoAuth(at.clone()),
        code::UNIMPLEMENTED => SessionError::Unsupported,
        other => panic!("{other}"),
    }
}

/// What a request thread does with a request.
pub(super) fn perform(server: &mut MemoryServer, ask: &Ask) -> Outcome<Vec<u8>> {
    match ask {
        Ask::Arm(top) => {
            Outcome::Arm(server.watch_tree(top.as_str()).map_err(|code| error(top, code)))
        }
        Ask::Await(top) => Outcome::Await(Ok(server.exists(top.as_str(), true))),
        Ask::List(at, watch) => {
            let names = server.list(at.as_str(), *watch == Watch::Yes);
            Outcome::List(names.map_err(|code| error(at, code)))
        }
        Ask::Read(paths, watch) => {
            assert!(paths.len() == 1 || *watch == Watch::No && paths.len() <= READS_MAX);
            let mut read = |at: &ZnodePath| {
                let znode = server.get(at.as_str(), *watch == Watch::Yes);
                let znode = znode.map_err(|code| error(at, code))?;
                let (mzxid, num_children) = (znode.mzxid, znode.num_children);
                let stat = Stat { mzxid, num_children, ..Stat::default() };
                let bytes = znode.data.len();
                Ok(Found { znode: Znode { data: znode.data, stat }, bytes })
            };
            Outcome::Read(paths.iter().map(&mut read).collect())
        }
    }
}

pub(super) fn hint(at: &str, noted: WatchEvent) -> Event<Vec<u8>> {
    let change = match noted {
        WatchEvent::Created => Change::Created,
        WatchEvent::Deleted => Change::Deleted,
        WatchEvent::Data => Change::Data,
        WatchEvent::Children => Change::Children,
    };
    Event::hint(path(at), change)
}

pub(super) struct Fixture {
    pub(super) cache: Cache<Vec<u8>>,
    pub(super) server: MemoryServer,
    pub(super) now: Instant,
    /// Requests that no request thread has taken yet.
    pub(super) asked: Vec<Request<Vec<u8>>>,
    /// The news since the last call of [`Self::news`], in short form.
    pub(super) news: Vec<String>,
    /// The znodes as the news alone describe them.
    pub(super) followed: BTreeMap<String, Vec<u8>>,
    pub(super) requests: usize,
}

impl Fixture {
    pub(super) fn new(scope: Scope, server: MemoryServer) -> Self {
        Self {
            cache: Cache::new(scope, |data| {
                let bytes = data.len();
                (data, bytes)
            }),
            server,
            now: Instant::now(),
            asked: Vec::new(),
            news: Vec::new(),
            followed: BTreeMap::new(),
            requests: 0,
        }
    }

    /// A cache that is up to date.
    pub(super) fn complete(scope: Scope, server: MemoryServer) -> Self {
        let mut fixture = Self::new(scope, server);
        fixture.step(Event::connected(true));
        fixture.catch_up();
        fixture.news.clear();
        fixture.requests = 0;
        fixture
    }

    pub(super) fn step(&mut self, event: Event<Vec<u8>>) {
        for action in self.cache.step(self.now, event) {
            match action {
                Action::Request(request) => {
                    self.requests += 1;
                    self.asked.push(request);
                }
                Action::Report(news) => self.follow(&news),
            }
        }
        assert!(self.asked.len() <= 4 * REQUESTS_MAX);
    }

    fn follow(&mut self, news: &News) {
        let data = |at: &ZnodePath| self.cache.get(at).map(|znode| znode.data.clone());
        let text = match news {
            News::Added(at) | News::Changed(at) => {
                // It may have been removed in the same step.
                if let Some(data) = data(at) {
                    self.followed.insert(at.to_string(), data);
                }
                let is_new = matches!(news, News::Added(_));
                format!("{} {at}", if is_new { "added" } else { "changed" })
            }
            News::Removed(at, stat) => {
                assert_eq!(self.followed.remove(at.as_str()).is_some(), stat.is_some(), "{at}");
                format!("removed {at}")
            }
            News::Suspended => "suspended".to_owned(),
            News::Complete => "complete".to_owned(),
            News::Missing => "missing".to_owned(),
            News::Refused(why) => {
                let is_there = |at: &str| self.cache.get(&path(at)).is_some();
                self.followed.retain(|at, _| is_there(at));
                format!("refused {why}")
            }
            News::Unreadable(at) => format!("unreadable {at}"),
            News::Ignored { parent, name } => format!("ignored {parent} {name}"),
        };
        self.news.push(text);
    }

    /// Answers all requests and delivers all hints, until nothing is in flight.
    pub(super) fn catch_up(&mut self) {
        loop {
            if let Some((_, at, noted)) = self.server.next_note() {
                self.step(hint(&at, noted));
            } else if !self.asked.is_empty() {
                self.answer();
            } else {
                return;
            }
        }
    }

    /// Answers the oldest request from the server.
    pub(super) fn answer(&mut self) {
        let request = self.asked.remove(0);
        let outcome = perform(&mut self.server, request.ask());
        self.step(Event::Answered(request.answer(outcome)));
    }

    /// Answers the oldest request as if every znode had two children.
    pub(super) fn answer_as_if_endless(&mut self) {
        let request = self.asked.remove(0);
        let stat = Stat { num_children: 2, ..Stat::default() };
        let znode = || Znode { data: Vec::new(), stat };
        let outcome = match request.ask() {
            Ask::Arm(_) => Outcome::Arm(Ok(())),
            Ask::Await(_) => Outcome::Await(Ok(true)),
            Ask::List(..) => Outcome::List(Ok(vec!["d".to_owned(), "e".to_owned()])),
            Ask::Read(paths, _) => {
                let read = paths.iter().map(|_| Ok(Found { znode: znode(), bytes: 0 }));
                Outcome::Read(read.collect())
            }
        };
        self.step(Event::Answered(request.answer(outcome)));
    }

    /// Answers the oldest request with an error.
    pub(super) fn fail(&mut self, error: &SessionError) {
        let request = self.asked.remove(0);
        let outcome = failed(request.ask(), error);
        self.step(Event::Answered(request.answer(outcome)));
    }

    pub(super) fn asks(&self) -> Vec<String> {
        let name = |request: &Request<Vec<u8>>| match request.ask() {
            Ask::Arm(at) => format!("arm {at}"),
            Ask::Await(at) => format!("await {at}"),
            Ask::List(at, watch) => format!("list {at} {watch:?}"),
            Ask::Read(paths, watch) => {
                let paths: Vec<_> = paths.iter().map(ZnodePath::as_str).collect();
                format!("read {} {watch:?}", paths.join(" "))
            }
        };
        self.asked.iter().map(name).collect()
    }

    pub(super) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// Waits for the next retry.
    pub(super) fn tick(&mut self) {
        self.now = self.cache.deadline().unwrap();
        self.step(Event::Tick);
    }
}

pub(super) fn failed(ask: &Ask, error: &SessionError) -> Outcome<Vec<u8>> {
    match ask {
        Ask::Arm(_) => Outcome::Arm(Err(error.clone())),
        Ask::Await(_) => Outcome::Await(Err(error.clone())),
        Ask::List(..) => Outcome::List(Err(error.clone())),
        Ask::Read(paths, _) => Outcome::Read(paths.iter().map(|_| Err(error.clone())).collect()),
    }
}
