//! A source with its requests and its news.

use super::super::*;
use farm_core::session::cache::{Ask, Found, Outcome};
use farm_core::session::{
    Change, DownReason, Hint, SessionError, SessionId, Stat, Watch, Znode, ZnodePath,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

impl MirrorSource {
    /// The content that was reported last.
    pub(crate) const fn content(&self) -> Option<&Content> {
        self.reported.as_ref()
    }

    /// Whether it was read since the latest connection and the latest [`Event::Refresh`].
    pub(crate) const fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }
}

pub(super) type Nodes = BTreeMap<ZnodePath, Arc<[u8]>>;

pub(super) struct Fixture {
    pub(super) source: MirrorSource,
    pub(super) now: Instant,
    pub(super) requests: Vec<Request>,
    news: Vec<String>,
    /// The number of the last write (`mzxid`); here every read finds a new one.
    writes: i64,
}

pub(super) fn path(path: &str) -> ZnodePath {
    ZnodePath::parse(path).unwrap()
}

pub(super) fn connected(is_new: bool) -> Event {
    let (session, granted) = (SessionId(1), Duration::from_secs(10));
    Event::Session(session::Event::Connected { session, is_new, granted })
}

pub(super) const fn away() -> Event {
    Event::Session(session::Event::Suspended(DownReason::HungUp))
}

pub(super) fn hint(at: &str, change: Change) -> Event {
    Event::Session(session::Event::Hint(Hint { path: path(at), change }))
}

pub(super) fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

pub(super) fn nodes(pairs: &[(&str, &str)]) -> Nodes {
    pairs.iter().map(|(at, text)| (path(at), bytes(text))).collect()
}

pub(super) fn forbidden(at: &str) -> SessionError {
    SessionError::NoAuth(path(at))
}

pub(super) fn shown(content: &Content) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mirrored = |mirrored: &Mirrored| match mirrored {
        Mirrored::Absent => "-".to_owned(),
        Mirrored::Bytes(bytes) => text(bytes),
        Mirrored::Tree(leaves) => {
            let leaf = |(path, bytes): (&String, &Arc<[u8]>)| format!("{path}={}", text(bytes));
            format!("{{{}}}", leaves.iter().map(leaf).collect::<Vec<_>>().join(" "))
        }
    };
    content.mirrored().iter().map(mirrored).collect::<Vec<_>>().join("|")
}

impl Fixture {
    pub(super) fn new(mirrors: &[&str]) -> Self {
        let specs: Vec<MirrorSpec> = mirrors.iter().map(|text| text.parse().unwrap()).collect();
        let source = MirrorSource::new(&specs);
        Self { source, now: Instant::now(), requests: Vec::new(), news: Vec::new(), writes: 0 }
    }

    /// A source that is connected and has sent its first requests.
    pub(super) fn connected(mirrors: &[&str]) -> Self {
        let mut fixture = Self::new(mirrors);
        fixture.step(connected(true));
        fixture
    }

    pub(super) fn step(&mut self, event: Event) {
        for action in self.source.step(self.now, event) {
            match action {
                Action::Request(request) => self.requests.push(request),
                Action::Report(news) => self.news.push(match news {
                    News::Complete(content) => format!("complete {}", shown(&content)),
                    News::Changed(content) => format!("changed {}", shown(&content)),
                    News::Missing(path) => format!("missing {path}"),
                    News::Deleted(path) => format!("deleted {path}"),
                    News::Unreadable(path, why) => format!("unreadable {path}: {why}"),
                    News::Readable(path) => format!("readable {path}"),
                    News::Skipped(path, why) => format!("skipped {path}: {why}"),
                    News::BytesIgnored(path) => format!("bytes ignored {path}"),
                }),
            }
        }
    }

    pub(super) fn hint(&mut self, at: &str, change: Change) {
        self.step(hint(at, change));
    }

    pub(super) fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// The requests without an answer. A walk through a subtree begins with the list of its
    /// top.
    pub(super) fn request_names(&self) -> Vec<String> {
        self.requests.iter().map(|request| self.name(request)).collect()
    }

    fn name(&self, request: &Request) -> String {
        let is_tree = self.source.units[request.unit].is_tree();
        let (verb, paths, watch) = match request.request.ask() {
            Ask::Arm(path) => return format!("arm {path}"),
            Ask::Await(path) => return format!("await {path}"),
            Ask::List(path, watch) if path == self.source.units[request.unit].path() => {
                ("walk", vec![path.to_string()], watch)
            }
            Ask::List(path, watch) => ("list", vec![path.to_string()], watch),
            Ask::Read(paths, _) if !is_tree => ("read", strings(paths), &Watch::No),
            Ask::Read(paths, watch) => ("look", strings(paths), watch),
        };
        let watching = if *watch == Watch::Yes { " watching" } else { "" };
        format!("{verb} {}{watching}", paths.join(" "))
    }

    pub(super) fn deliver(&mut self, request: &Request, outcome: Outcome<Arc<[u8]>>) {
        let Request { unit, request } = request;
        self.step(Event::Answered(Answer { unit: *unit, answer: request.answer(outcome) }));
    }

    /// Answers the oldest request.
    #[track_caller]
    pub(super) fn answer(&mut self, outcome: Outcome<Arc<[u8]>>) {
        assert!(!self.requests.is_empty(), "there is no request");
        let request = self.requests.remove(0);
        self.deliver(&request, outcome);
    }

    pub(super) fn read(&mut self, bytes: Arc<[u8]>, num_children: i32) -> Found<Arc<[u8]>> {
        self.writes += 1;
        let stat = Stat { mzxid: self.writes, num_children, ..Stat::default() };
        Found { bytes: bytes.len(), znode: Znode { data: bytes, stat } }
    }

    /// Answers the oldest request, a read, with this text for each znode.
    #[track_caller]
    pub(super) fn answer_read(&mut self, text: &str) {
        self.answer_read_bytes(&bytes(text));
    }

    #[track_caller]
    pub(super) fn answer_read_bytes(&mut self, bytes: &Arc<[u8]>) {
        let Some(Ask::Read(paths, _)) =
            self.requests.first().map(|first| first.request.ask().clone())
        else {
            panic!("not a read: {:?}", self.request_names());
        };
        let read = paths.iter().map(|_| Ok(self.read(Arc::clone(bytes), 0))).collect();
        self.answer(Outcome::Read(read));
    }

    /// Answers the oldest request, a read: the znode does not exist.
    #[track_caller]
    pub(super) fn answer_missing(&mut self) {
        self.answer_error(&SessionError::NoNode(path("/gone")));
        self.answer_await(false);
    }

    /// Answers the oldest request, a read: it is not allowed.
    #[track_caller]
    pub(super) fn answer_refused(&mut self, at: &str) {
        self.answer_error(&forbidden(at));
        self.answer_await(true);
    }

    #[track_caller]
    pub(super) fn answer_error(&mut self, error: &SessionError) {
        let count = match self.requests.first().map(|first| first.request.ask().clone()) {
            Some(Ask::Read(paths, _)) => paths.len(),
            _ => panic!("not a read: {:?}", self.request_names()),
        };
        self.answer(Outcome::Read((0..count).map(|_| Err(error.clone())).collect()));
    }

    /// Answers the request for a one-shot watch on a znode that can't be read, if there is one.
    fn answer_await(&mut self, is_there: bool) {
        let is_await = |request: &Request| matches!(request.request.ask(), Ask::Await(_));
        if let Some(index) = self.requests.iter().position(is_await) {
            let request = self.requests.remove(index);
            self.deliver(&request, Outcome::Await(Ok(is_there)));
        }
    }

    /// Answers the walk that the oldest request begins with exactly these znodes.
    #[track_caller]
    pub(super) fn answer_walk(&mut self, pairs: &[(&str, &str)]) {
        let nodes = nodes(pairs);
        let first = self.requests.remove(0);
        self.walk(&first, &nodes);
    }

    #[track_caller]
    pub(super) fn walk(&mut self, first: &Request, nodes: &Nodes) {
        let mut left = vec![first.clone()];
        while let Some(request) = left.pop() {
            let outcome = match request.request.ask().clone() {
                Ask::List(at, _) => Outcome::List(Ok(children(nodes, &at))),
                Ask::Read(paths, _) => {
                    Outcome::Read(paths.iter().map(|at| self.read_of(nodes, at)).collect())
                }
                other => panic!("not a part of a walk: {other:?}"),
            };
            let count = self.requests.len();
            self.deliver(&request, outcome);
            // New requests belong to this walk, unless they list the top again.
            let top = self.source.units[request.unit].path().clone();
            let is_walk =
                |next: &mut Request| matches!(next.request.ask(), Ask::List(at, _) if *at == top);
            let mut next = self.requests.split_off(count);
            self.requests.extend(next.extract_if(.., is_walk));
            left.extend(next);
        }
    }

    fn read_of(&mut self, nodes: &Nodes, at: &ZnodePath) -> Result<Found<Arc<[u8]>>, SessionError> {
        let bytes = nodes.get(at).cloned().ok_or_else(|| SessionError::NoNode(at.clone()))?;
        let num_children = i32::try_from(children(nodes, at).len()).unwrap();
        Ok(self.read(bytes, num_children))
    }

    /// Answers the oldest request, the start of a walk: the top does not exist.
    #[track_caller]
    pub(super) fn answer_walk_missing(&mut self) {
        assert!(self.request_names()[0].starts_with("walk"), "{:?}", self.request_names());
        self.answer(Outcome::List(Err(SessionError::NoNode(path("/gone")))));
        self.answer_await(false);
    }

    /// Advances the clock and fires the timer if it is due.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        if self.source.deadline().is_some_and(|due| due <= self.now) {
            self.step(Event::Tick);
        }
    }
}

fn strings(paths: &[ZnodePath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}

/// The names of the children of a znode; the parents of every znode exist.
fn children(nodes: &Nodes, parent: &ZnodePath) -> Vec<String> {
    let prefix = format!("{}/", parent.as_str().trim_end_matches('/'));
    let below = nodes
        .range::<str, _>((Bound::Included(&*prefix), Bound::Unbounded))
        .map(|(at, _)| at.as_str());
    let below = below.take_while(|at| at.starts_with(&prefix));
    let first = |at: &str| at[prefix.len()..].split('/').next().unwrap().to_owned();
    let names: std::collections::BTreeSet<_> = below.map(first).collect();
    names.into_iter().collect()
}
