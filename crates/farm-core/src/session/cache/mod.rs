//! The znodes below a path, kept equal to what ZooKeeper has.
//!
//! A pure machine: it is told what happened, and answers with requests to make and with
//! what is known. It covers one znode, its children, or more levels. Where the server
//! can, one persistent recursive watch covers everything, and a change costs one read;
//! an older server gets a one-shot watch for every znode and every list of children.
//!
//! **Invariant.** A znode that a hint is about is read after that hint, whatever was
//! being read meanwhile. [`News::Complete`] is told only when everything that is there
//! was read since the latest contact and the latest [`Event::Refresh`], or can't be read.
//! A znode that can't be read, and a top that is gone, keep what was read last.

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
use crate::engine::RetrySet;
use crate::session;
use nodes::{Nodes, Part, Phase, Reading};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// The most requests under way at once: enough to keep every courier busy, and few
/// enough to be thrown away when the link breaks.
pub(crate) const REQUESTS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// Nothing is watched: the cache is filled once.
    Nothing,
    /// What this server can is not known yet.
    Undecided,
    /// One watch covers everything for as long as the session lives.
    Tree,
    /// Every read leaves a watch of its own.
    Each,
}

/// A read that is tried again later. It takes a timer: no watch fires when an access list
/// changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Again {
    Top,
    Part(ZnodePath, Part),
}

/// The machine. See the module's page.
#[derive(Debug)]
pub struct Cache<V> {
    scope: Scope,
    decode: Decode<V>,
    state: State,
    refusal: Option<SessionError>,
    watching: Watching,
    session: u64,
    next_ticket: u64,
    /// Answers to requests before this one say nothing about what is wanted now.
    fresh_from: u64,
    asked: BTreeMap<u64, Arc<Ask>>,
    queue: VecDeque<(ZnodePath, Part)>,
    nodes: Nodes<V>,
    ignored: BTreeSet<(ZnodePath, String)>,
    retry: RetrySet<Again>,
    actions: Vec<Action<V>>,
}

impl<V> Cache<V> {
    /// A cache about which nothing is known yet. `decode` runs on the couriers' threads.
    #[must_use]
    pub fn new(scope: Scope, decode: Decode<V>) -> Self {
        let nodes = Nodes::new(scope.top.clone(), scope.reads_top(), !scope.is_one_znode());
        let mut cache = Self {
            scope,
            decode,
            state: State::Away,
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
            actions: Vec::new(),
        };
        cache.forget_watch();
        cache
    }

    /// How much of it is known to be true.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// What was read last of the top.
    #[must_use]
    pub fn top(&self) -> Option<&Znode<V>> {
        self.get(&self.scope.top)
    }

    /// What was read last of a znode.
    #[must_use]
    pub fn get(&self, path: &ZnodePath) -> Option<&Znode<V>> {
        self.nodes.get(path)?.znode.as_ref()
    }

    /// Why a znode can't be read, if it can't.
    #[must_use]
    pub fn trouble(&self, path: &ZnodePath) -> Option<&SessionError> {
        self.nodes.get(path)?.trouble(Part::Data)
    }

    /// Why the top's own data can't be read, if it can't.
    #[must_use]
    pub fn top_trouble(&self) -> Option<&SessionError> {
        self.trouble(&self.scope.top)
    }

    /// Is that a znode below the top?
    #[must_use]
    pub fn is_below(&self, path: &ZnodePath) -> bool {
        *path != self.scope.top
    }

    /// Every znode below the top that is there, with what was read of it, sorted by path.
    pub fn below(&self) -> impl Iterator<Item = (&ZnodePath, Option<&Znode<V>>)> {
        self.nodes.below().map(|(path, node)| (path, node.znode.as_ref()))
    }

    /// Znodes whose children can't be listed, and why.
    pub fn unlisted(&self) -> impl Iterator<Item = (&ZnodePath, &SessionError)> {
        self.nodes.below().filter_map(|(path, node)| Some((path, node.trouble(Part::Children)?)))
    }

    /// The names that are in the lists of children, but not in the cache.
    pub fn ignored(&self) -> impl Iterator<Item = (&ZnodePath, &str)> {
        self.ignored.iter().map(|(parent, name)| (parent, &**name))
    }

    /// Why the top is missing or refused, in ZooKeeper's words.
    #[must_use]
    pub const fn refusal(&self) -> Option<&SessionError> {
        self.refusal.as_ref()
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Is it known that the servers have no persistent watches?
    #[must_use]
    pub fn is_watching_each(&self) -> bool {
        self.watching == Watching::Each && !self.scope.is_one_znode()
    }

    /// Another cache of the same session has found that out.
    pub fn watch_each(&mut self) {
        if self.watching == Watching::Undecided {
            self.watching = Watching::Each;
        }
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event<V>) -> Vec<Action<V>> {
        match event {
            Event::Session(session::Event::Connected { is_new, .. }) => self.connected(is_new),
            Event::Session(session::Event::Suspended(_) | session::Event::Lost) => self.away(),
            Event::Session(session::Event::Hint(hint)) => self.hint(now, &hint),
            // There was no contact before either.
            Event::Session(session::Event::GaveUp(_) | session::Event::AuthRefused(_)) => {}
            Event::Answered(answer) => self.answered(now, answer),
            Event::Refresh => self.refresh(),
            Event::Tick => self.tick(now),
        }
        self.feed();
        self.settle();
        std::mem::take(&mut self.actions)
    }

    fn connected(&mut self, is_new: bool) {
        if is_new {
            self.session += 1;
            self.forget_watch();
        }
        self.forget_requests();
        self.retry.clear();
        self.state = State::Loading;
        self.reload();
    }

    /// A persistent watch lives as long as its session, and the next one may be with a
    /// newer server. That watch always covers a subtree, too much for a single znode.
    fn forget_watch(&mut self) {
        self.watching = match self.watching {
            Watching::Nothing => Watching::Nothing,
            _ if self.scope.is_one_znode() => Watching::Each,
            Watching::Undecided | Watching::Tree | Watching::Each => Watching::Undecided,
        };
    }

    fn away(&mut self) {
        self.forget_requests();
        self.retry.clear();
        if std::mem::replace(&mut self.state, State::Away) != State::Away {
            self.tell(News::Suspended);
        }
    }

    fn forget_requests(&mut self) {
        self.asked.clear();
        self.queue.clear();
        self.nodes.rest();
    }

    fn refresh(&mut self) {
        if self.state != State::Away {
            self.state = State::Loading;
            self.reload();
        }
    }

    fn reload(&mut self) {
        self.outdate();
        self.begin();
    }

    /// Nothing that was read or asked for so far counts as up to date.
    fn outdate(&mut self) {
        self.fresh_from = self.next_ticket;
        self.nodes.outdate();
    }

    /// Sets the watch, or reads the top if that is done.
    fn begin(&mut self) {
        if self.watching != Watching::Undecided {
            self.want(&self.scope.top.clone(), Part::Children);
            self.want(&self.scope.top.clone(), Part::Data);
        } else if !self.asked.values().any(|ask| matches!(**ask, Ask::Arm(_))) {
            self.ask(Ask::Arm(self.scope.top.clone()));
        }
    }

    fn ask(&mut self, ask: Ask) {
        let (ticket, session, ask) = (self.next_ticket, self.session, Arc::new(ask));
        self.next_ticket += 1;
        self.asked.insert(ticket, Arc::clone(&ask));
        let request = Request { ticket, session, ask, decode: self.decode };
        self.actions.push(Action::Ask(request));
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell(news));
    }

    /// Has a part of a znode read, again if it is just being read.
    fn want(&mut self, path: &ZnodePath, part: Part) {
        if self.nodes.reading_mut(path, part).is_some_and(Reading::want) {
            self.queue.push_back((path.clone(), part));
        }
    }

    /// Has a znode below the top read that may be new, or have changed.
    fn discover(&mut self, path: &ZnodePath) {
        self.discover_unless(path, |_| false);
    }

    fn discover_unless(&mut self, path: &ZnodePath, is_known: impl FnOnce(&Reading) -> bool) {
        let is_named_only = self.scope.contents == Contents::Names;
        // Of others, what was read says whether there are children.
        let has_children = is_named_only && self.scope.covers_children_of(path);
        if let Some((part, reading)) = self.nodes.add(path, !is_named_only, has_children)
            && !is_known(reading)
            && reading.want()
        {
            self.queue.push_back((path.clone(), part));
        }
    }

    fn watch(&self) -> Watch {
        if self.watching == Watching::Each { Watch::Yes } else { Watch::No }
    }

    /// Asks for what waits, up to the number of requests that may be under way.
    fn feed(&mut self) {
        let watch = self.watch();
        while self.asked.len() < REQUESTS_MAX
            && let Some((path, part)) = self.queue.pop_front()
        {
            let ticket = self.next_ticket;
            if !self.begin_reading(&path, part, ticket) {
                continue;
            }
            if part == Part::Children {
                self.ask(Ask::List(path, watch));
                continue;
            }
            let mut paths = vec![path];
            // Only a single read leaves a watch.
            let most = if watch == Watch::Yes { 1 } else { READS_MAX };
            while paths.len() < most
                && let Some((path, Part::Data)) =
                    self.queue.pop_front_if(|(_, part)| *part == Part::Data)
            {
                if self.begin_reading(&path, Part::Data, ticket) {
                    paths.push(path);
                }
            }
            self.ask(Ask::Read(paths, watch));
        }
    }

    fn begin_reading(&mut self, path: &ZnodePath, part: Part, ticket: u64) -> bool {
        match self.nodes.reading_mut(path, part) {
            Some(reading) if reading.phase == Phase::Queued => {
                reading.phase = Phase::UnderWay { ticket, is_stale: false };
                true
            }
            Some(_) | None => false,
        }
    }

    fn settle(&mut self) {
        // A stale list of the whole is not all there is; of a znode the last word is
        // taken for now, or one that changes all the time would hold up the others.
        if self.state == State::Loading && !self.is_listing_top() && self.nodes.unread() == 0 {
            self.state = State::Complete;
            self.tell(News::Complete);
        }
    }

    fn tick(&mut self, now: Instant) {
        for retry in self.retry.take(now) {
            match retry {
                Again::Top => self.begin(),
                Again::Part(path, part) => self.want(&path, part),
            }
        }
    }
}
