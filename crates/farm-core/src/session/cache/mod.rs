//! The znodes below a path, kept equal to those of ZooKeeper.
//!
//! A pure state machine: events go in; requests to make and news come out. It covers one
//! znode, its children, or more levels. If the server supports it, one persistent
//! recursive watch covers everything and a change costs one read; on an older server
//! every znode and every list of children has a one-shot watch.
//!
//! **Invariant.** A znode is always read after a hint about it, even if a read was in
//! flight when the hint came. [`News::Complete`] is reported only when every znode was
//! read since the latest connection and the latest [`Event::Refresh`], or can't be read.
//! A znode that can't be read, and a top that is gone, keep what was read last.
//!
//! A server drops the event of a change that we may not read, and with it a one-shot watch.
//! What hangs on such a watch is therefore also read without a hint, now and then.

mod answers;
mod event;
mod hints;
mod nodes;
mod request;
mod scope;
mod snapshot;
#[cfg(test)]
mod tests;

pub use event::{Action, Event, News, Refusal, State};
pub use request::{Answer, Ask, Decode, Found, Outcome, Request};
pub use scope::{Contents, Depth, Limits, Scope};
pub use snapshot::snapshot;

pub(crate) use super::client::READS_MAX;

use super::{SessionError, Watch, Znode, ZnodePath};
use crate::engine::{Retry, RetrySet};
use crate::session;
use nodes::{Nodes, Part, Phase, Reading};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// The most requests in flight at once: enough to keep all request threads busy, and few
/// enough to repeat when the connection breaks.
pub(crate) const REQUESTS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// Nothing is watched: the cache is filled once.
    Nothing,
    /// It is not known yet what the server supports.
    Undecided,
    /// One watch covers everything as long as the session lives.
    Tree,
    /// Every read leaves a one-shot watch.
    Each,
}

/// A read to retry. It takes a timer, because no watch fires when an access list changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum RetryKey {
    Top,
    Part(ZnodePath, Part),
}

/// The state machine, see the module's page.
#[derive(Debug)]
pub struct Cache<V> {
    scope: Scope,
    decode: Decode<V>,
    state: State,
    refusal: Option<SessionError>,
    watching: Watching,
    session: u64,
    next_ticket: u64,
    /// Answers to requests with a lower ticket do not count as up to date.
    fresh_from: u64,
    /// The requests in flight, by ticket.
    asked: BTreeMap<u64, Arc<Ask>>,
    /// The reads that are scheduled.
    queue: VecDeque<(ZnodePath, Part)>,
    nodes: Nodes<V>,
    ignored: BTreeSet<(ZnodePath, String)>,
    retry: RetrySet<RetryKey>,
    /// When the top is read without a hint.
    recheck: Retry,
    actions: Vec<Action<V>>,
}

impl<V> Cache<V> {
    /// An empty cache. `decode` runs on the request threads.
    #[must_use]
    pub fn new(scope: Scope, decode: Decode<V>) -> Self {
        let nodes = Nodes::new(scope.top.clone(), scope.reads_top(), !scope.is_one_znode());
        let mut cache = Self {
            scope,
            decode,
            state: State::Disconnected,
            refusal: None,
            watching: Watching::Undecided,
            session: 0,
            next_ticket: 0,
            fresh_from: 0,
            asked: BTreeMap::new(),
            queue: VecDeque::new(),
            nodes,
            ignored: BTreeSet::new(),
            retry: RetrySet::new(),
            recheck: Retry::unannounced(),
            actions: Vec::new(),
        };
        cache.reset_watching();
        cache
    }

    /// How much of the cache is up to date.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The top as it was last read.
    #[must_use]
    pub fn top(&self) -> Option<&Znode<V>> {
        self.get(&self.scope.top)
    }

    /// A znode as it was last read.
    #[must_use]
    pub fn get(&self, path: &ZnodePath) -> Option<&Znode<V>> {
        self.nodes.get(path)?.znode.as_ref()
    }

    /// Why the data of a znode can't be read, if so.
    #[must_use]
    pub fn error(&self, path: &ZnodePath) -> Option<&SessionError> {
        self.nodes.get(path)?.error(Part::Data)
    }

    /// Why the data of the top can't be read, if so.
    #[must_use]
    pub fn top_error(&self) -> Option<&SessionError> {
        self.error(&self.scope.top)
    }

    /// Tells whether this is a znode below the top.
    #[must_use]
    pub fn is_below(&self, path: &ZnodePath) -> bool {
        *path != self.scope.top
    }

    /// All znodes below the top as they were last read, sorted by path.
    pub fn below(&self) -> impl Iterator<Item = (&ZnodePath, Option<&Znode<V>>)> {
        self.nodes.below().map(|(path, node)| (path, node.znode.as_ref()))
    }

    /// Znodes whose children can't be listed, and why.
    pub fn unlisted(&self) -> impl Iterator<Item = (&ZnodePath, &SessionError)> {
        self.nodes.below().filter_map(|(path, node)| Some((path, node.error(Part::Children)?)))
    }

    /// The znodes that are not in the cache although their parent is, by parent and name.
    pub fn ignored(&self) -> impl Iterator<Item = (&ZnodePath, &str)> {
        self.ignored.iter().map(|(parent, name)| (parent, &**name))
    }

    /// Why the top is missing or refused.
    #[must_use]
    pub const fn refusal(&self) -> Option<&SessionError> {
        self.refusal.as_ref()
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.retry.deadline().into_iter().chain(self.recheck.deadline()).min()
    }

    /// Tells whether the servers are known to lack persistent watches.
    #[must_use]
    pub fn is_watching_each(&self) -> bool {
        self.watching == Watching::Each && !self.scope.is_one_znode()
    }

    /// Uses one-shot watches: another cache of the session has found that the servers lack
    /// persistent ones.
    pub fn watch_each(&mut self) {
        if self.watching == Watching::Undecided {
            self.watching = Watching::Each;
        }
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event<V>) -> Vec<Action<V>> {
        match event {
            Event::Session(session::Event::Connected { is_new, .. }) => self.connected(is_new),
            Event::Session(session::Event::Suspended(_) | session::Event::Lost) => {
                self.disconnected();
            }
            Event::Session(session::Event::Hint(hint)) => self.hint(now, &hint),
            // The cache is disconnected already.
            Event::Session(session::Event::GaveUp(_) | session::Event::AuthRefused(_)) => {}
            Event::Answered(answer) => self.answered(now, answer),
            Event::Refresh => self.refresh(),
            Event::Tick => self.tick(now),
        }
        self.send_requests();
        self.complete_if_read();
        self.plan_recheck(now);
        std::mem::take(&mut self.actions)
    }

    fn connected(&mut self, is_new: bool) {
        if is_new {
            self.session += 1;
            self.reset_watching();
        }
        self.drop_requests();
        self.retry.clear();
        self.state = State::Loading;
        self.reload();
    }

    /// A persistent watch ends with its session, and the next session may be with a newer
    /// server. Such a watch covers a whole subtree, which is too much for a single znode.
    fn reset_watching(&mut self) {
        self.watching = match self.watching {
            Watching::Nothing => Watching::Nothing,
            _ if self.scope.is_one_znode() => Watching::Each,
            Watching::Undecided | Watching::Tree | Watching::Each => Watching::Undecided,
        };
    }

    fn disconnected(&mut self) {
        self.drop_requests();
        self.retry.clear();
        if std::mem::replace(&mut self.state, State::Disconnected) != State::Disconnected {
            self.report(News::Suspended);
        }
    }

    fn drop_requests(&mut self) {
        self.asked.clear();
        self.queue.clear();
        self.nodes.make_idle();
    }

    fn refresh(&mut self) {
        if self.state != State::Disconnected {
            self.state = State::Loading;
            self.reload();
        }
    }

    fn reload(&mut self) {
        self.outdate();
        self.load();
    }

    /// Marks everything that was read or requested so far as out of date.
    fn outdate(&mut self) {
        self.fresh_from = self.next_ticket;
        self.nodes.outdate();
    }

    /// Sets the watch, or reads the top if it is known how to watch.
    fn load(&mut self) {
        if self.watching != Watching::Undecided {
            self.schedule_read(&self.scope.top.clone(), Part::Children);
            self.schedule_read(&self.scope.top.clone(), Part::Data);
        } else if !self.asked.values().any(|ask| matches!(**ask, Ask::Arm(_))) {
            self.ask(Ask::Arm(self.scope.top.clone()));
        }
    }

    fn ask(&mut self, ask: Ask) {
        let (ticket, session, ask) = (self.next_ticket, self.session, Arc::new(ask));
        self.next_ticket += 1;
        self.asked.insert(ticket, Arc::clone(&ask));
        let request = Request { ticket, session, ask, decode: self.decode };
        self.actions.push(Action::Request(request));
    }

    fn report(&mut self, news: News) {
        self.actions.push(Action::Report(news));
    }

    /// Schedules a read of a part of a znode, also if a read of it is in flight.
    fn schedule_read(&mut self, path: &ZnodePath, part: Part) {
        if self.nodes.reading_mut(path, part).is_some_and(Reading::schedule) {
            self.queue.push_back((path.clone(), part));
        }
    }

    /// Tells whether a znode below the top is known, also one that was not read yet.
    #[must_use]
    pub fn contains(&self, path: &ZnodePath) -> bool {
        self.nodes.get(path).is_some()
    }

    /// Schedules a read of a znode below the top that may be new or have changed.
    fn discover(&mut self, path: &ZnodePath) {
        self.discover_unless(path, |_| false);
    }

    fn discover_unless(&mut self, path: &ZnodePath, is_known: impl FnOnce(&Reading) -> bool) {
        let has_no_data = self.scope.contents == Contents::Names;
        // Otherwise the metadata tells whether there are children to list.
        let has_children = has_no_data && self.scope.covers_children_of(path);
        if has_no_data && self.nodes.get(path).is_none() {
            self.report(News::Added(path.clone()));
        }
        if let Some((part, reading)) = self.nodes.add(path, !has_no_data, has_children)
            && !is_known(reading)
            && reading.schedule()
        {
            self.queue.push_back((path.clone(), part));
        }
    }

    fn watch(&self) -> Watch {
        if self.watching == Watching::Each { Watch::Yes } else { Watch::No }
    }

    /// Makes requests of the scheduled reads, as long as more may be in flight.
    fn send_requests(&mut self) {
        let watch = self.watch();
        while self.asked.len() < REQUESTS_MAX
            && let Some((path, part)) = self.queue.pop_front()
        {
            let ticket = self.next_ticket;
            if !self.start_reading(&path, part, ticket) {
                continue;
            }
            if part == Part::Children {
                self.ask(Ask::List(path, watch));
                continue;
            }
            let mut paths = vec![path];
            // A batch of reads leaves no watches.
            let most = if watch == Watch::Yes { 1 } else { READS_MAX };
            while paths.len() < most
                && let Some((path, Part::Data)) =
                    self.queue.pop_front_if(|(_, part)| *part == Part::Data)
            {
                if self.start_reading(&path, Part::Data, ticket) {
                    paths.push(path);
                }
            }
            self.ask(Ask::Read(paths, watch));
        }
    }

    fn start_reading(&mut self, path: &ZnodePath, part: Part, ticket: u64) -> bool {
        match self.nodes.reading_mut(path, part) {
            Some(reading) if reading.phase == Phase::Queued => {
                reading.phase = Phase::UnderWay { ticket, is_stale: false };
                true
            }
            Some(_) | None => false,
        }
    }

    fn complete_if_read(&mut self) {
        // While the top is being listed, znodes may be missing. A znode that is being read
        // again counts as read, or one that changes all the time would hold up the rest.
        if self.state == State::Loading && !self.is_listing_top() && self.nodes.unread() == 0 {
            self.state = State::Complete;
            self.report(News::Complete);
        }
    }

    /// A watch on the tree stays when an event is dropped. A one-shot watch is gone then, and
    /// so is the event that announces a top that we may not read yet.
    fn plan_recheck(&mut self, now: Instant) {
        let is_needed = match self.state {
            State::Complete => self.scope.is_one_znode(),
            State::Missing => true,
            State::Disconnected | State::Loading | State::Refused => false,
        };
        if is_needed && self.watching != Watching::Nothing {
            self.recheck.plan(now);
        } else {
            self.recheck.cancel();
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.recheck.take(now) {
            self.load();
        }
        for retry in self.retry.take(now) {
            match retry {
                RetryKey::Top => self.load(),
                RetryKey::Part(path, part) => self.schedule_read(&path, part),
            }
        }
    }
}
