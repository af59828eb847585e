//! All hosts of a farm, kept fresh.
//!
//! A pure machine: it is told what happened and answers with what to ask and what
//! there is to know. Where the server can, one watch covers the whole farm and a
//! change of one host costs one read; older servers get a watch per host.
//!
//! **Invariant.** The farm is told to be complete only when every host that was
//! listed has been read since the latest contact. A host that can't be read keeps
//! its last good record, and a farm that is gone keeps its last good hosts.

mod event;
mod request;
#[cfg(test)]
mod tests;

pub use event::{Action, Event, News, State};
pub use request::{Answer, Request, Unreadable};

use crate::engine::RetrySet;
use crate::model::{Farm, HostName, HostNameError, Record};
use crate::session::{Change, Hint, SessionError, Watch, ZnodePath};
use request::{Ask, Late, Outcome};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

/// As many reads may be under way at once: enough to keep every courier busy, and
/// few enough to be thrown away when the link breaks.
const READS_MAX: usize = 64;
/// As many hosts may be asked for in one of them.
const HOSTS_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Watching {
    /// Not known yet what this server can.
    Undecided,
    /// One watch for all, that lives as long as the session.
    Tree,
    /// Every read leaves a watch of its own.
    Each,
}

/// The one request about the farm itself that is under way.
#[derive(Debug)]
struct Survey {
    ticket: u64,
    /// Something happened since: ask again.
    is_stale: bool,
    /// Hosts that changed since: the answer may be too old to know them.
    touched: BTreeSet<HostName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Queued,
    Reading { ticket: u64, is_stale: bool },
}

#[derive(Debug)]
struct Host {
    phase: Phase,
    /// Read since the latest contact.
    is_fresh: bool,
    is_unreadable: bool,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub struct Roster {
    path: ZnodePath,
    state: State,
    watching: Watching,
    session: u64,
    next_ticket: u64,
    /// Answers to earlier requests are of an earlier contact.
    first_ticket: u64,
    survey: Option<Survey>,
    /// The next listing is the first one since the latest contact, or a wanted one.
    is_reload: bool,
    hosts: BTreeMap<HostName, Host>,
    unread: usize,
    queue: VecDeque<HostName>,
    reads: usize,
    farm: Farm,
    skipped: BTreeSet<String>,
    retry: RetrySet<Late>,
    actions: Vec<Action>,
}

impl Roster {
    /// A roster of the farm at this path, about which nothing is known yet.
    #[must_use]
    pub fn new(path: ZnodePath) -> Self {
        Self {
            path,
            state: State::Away,
            watching: Watching::Undecided,
            session: 0,
            next_ticket: 0,
            first_ticket: 0,
            survey: None,
            is_reload: true,
            hosts: BTreeMap::new(),
            unread: 0,
            queue: VecDeque::new(),
            reads: 0,
            farm: Farm::new(),
            skipped: BTreeSet::new(),
            retry: RetrySet::new(),
            actions: Vec::new(),
        }
    }

    /// The latest good record of every host.
    #[must_use]
    pub const fn farm(&self) -> &Farm {
        &self.farm
    }

    /// Every host that is there, with its record if it can be read.
    pub fn hosts(&self) -> impl Iterator<Item = (&HostName, Option<&Record>)> {
        self.hosts.iter().map(|(name, host)| {
            let record = self.farm.get(name.as_str());
            (name, record.filter(|_| !host.is_unreadable))
        })
    }

    /// How much of it is known to be true.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Takes one event.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        match event {
            Event::Connected { is_new } => self.connected(is_new),
            Event::Away => self.away(),
            Event::Hint(hint) => self.hint(&hint),
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
            self.watching = Watching::Undecided;
        }
        self.forget_requests();
        self.state = State::Loading;
        self.reload();
    }

    fn away(&mut self) {
        self.forget_requests();
        self.state = State::Away;
    }

    fn forget_requests(&mut self) {
        self.first_ticket = self.next_ticket;
        self.survey = None;
        self.queue.clear();
        self.reads = 0;
        self.retry.clear();
        for host in self.hosts.values_mut() {
            host.phase = Phase::Idle;
        }
    }

    fn refresh(&mut self) {
        if self.state == State::Away {
            return;
        }
        if self.state == State::Complete {
            self.state = State::Loading;
        }
        self.reload();
    }

    fn reload(&mut self) {
        self.is_reload = true;
        for host in self.hosts.values_mut() {
            host.is_fresh = false;
        }
        self.unread = self.hosts.len();
        self.begin_survey();
    }

    /// Asks for the next thing to know about the farm, or later if it is just being asked.
    fn begin_survey(&mut self) {
        if let Some(survey) = &mut self.survey {
            survey.is_stale = true;
            return;
        }
        let path = self.path.clone();
        let ask = match self.watching {
            Watching::Undecided => Ask::Arm(path),
            Watching::Tree => Ask::List(path, Watch::No),
            Watching::Each => Ask::List(path, Watch::Yes),
        };
        self.ask_survey(ask);
    }

    fn ask_survey(&mut self, ask: Ask) {
        let ticket = self.ask(ask);
        self.survey = Some(Survey { ticket, is_stale: false, touched: BTreeSet::new() });
    }

    fn ask(&mut self, ask: Ask) -> u64 {
        let (ticket, session) = (self.next_ticket, self.session);
        self.next_ticket += 1;
        self.actions.push(Action::Ask(Request { ticket, session, ask }));
        ticket
    }

    fn tell(&mut self, news: News) {
        self.actions.push(Action::Tell(news));
    }

    fn hint(&mut self, hint: &Hint) {
        if self.state == State::Away {
            return;
        }
        if hint.path == self.path {
            match hint.change {
                // The farm's own record is no business of ours.
                Change::Data => {}
                Change::Created | Change::Deleted | Change::Children => self.begin_survey(),
            }
            return;
        }
        if hint.path.parent().as_ref() != Some(&self.path) {
            return;
        }
        let Some(name) = hint.path.name() else { return };
        match HostName::parse(name) {
            Ok(host) => self.host_hint(host),
            Err(error) if hint.change == Change::Created => self.skip(name.to_owned(), error),
            Err(_) if hint.change == Change::Deleted => {
                self.skipped.remove(name);
            }
            Err(_) => {}
        }
    }

    fn host_hint(&mut self, host: HostName) {
        if let Some(survey) = &mut self.survey {
            survey.touched.insert(host);
        } else if self.state == State::Loading || self.state == State::Complete {
            self.want(&host);
        }
    }

    fn skip(&mut self, name: String, error: HostNameError) {
        if self.skipped.insert(name.clone()) {
            self.tell(News::Skipped(name, error));
        }
    }

    /// Has a host read, again if it is just being read.
    fn want(&mut self, name: &HostName) {
        let unread = &mut self.unread;
        let host = self.hosts.entry(name.clone()).or_insert_with(|| {
            *unread += 1;
            Host { phase: Phase::Idle, is_fresh: false, is_unreadable: false }
        });
        match &mut host.phase {
            Phase::Idle => {
                host.phase = Phase::Queued;
                self.queue.push_back(name.clone());
            }
            Phase::Queued => {}
            Phase::Reading { is_stale, .. } => *is_stale = true,
        }
    }

    /// Has as many of those that wait read as may be under way.
    fn feed(&mut self) {
        // A watch is left by reading one by one.
        let most = if self.watching == Watching::Each { 1 } else { HOSTS_MAX };
        while self.reads < READS_MAX && !self.queue.is_empty() {
            let ticket = self.next_ticket;
            let mut hosts = Vec::new();
            while hosts.len() < most
                && let Some(name) = self.queue.pop_front()
            {
                let Ok(path) = self.path.child(name.as_str()) else {
                    // Longer than a path can be: no server has such a znode.
                    self.remove(&name);
                    continue;
                };
                let Some(host) = self.hosts.get_mut(&name) else { continue };
                if host.phase == Phase::Queued {
                    host.phase = Phase::Reading { ticket, is_stale: false };
                    hosts.push((name, path));
                }
            }
            if !hosts.is_empty() {
                self.reads += 1;
                let watch = if self.watching == Watching::Each { Watch::Yes } else { Watch::No };
                self.ask(Ask::Read(hosts, watch));
            }
        }
    }

    fn answered(&mut self, now: Instant, answer: Answer) {
        let Answer { ticket, session, outcome } = answer;
        if session != self.session {
            return;
        }
        // What the server can is true whenever it was learnt.
        if let Outcome::Arm(Ok(())) = outcome {
            self.watching = Watching::Tree;
        } else if let Outcome::Arm(Err(SessionError::Unsupported)) = outcome {
            self.watching = Watching::Each;
        }
        if ticket < self.first_ticket {
            return;
        }
        if let Outcome::Read(hosts) = outcome {
            self.reads = self.reads.saturating_sub(1);
            for (host, read) in hosts {
                self.host_answered(now, ticket, &host, read);
            }
        } else if self.survey.as_ref().is_some_and(|survey| survey.ticket == ticket)
            && let Some(survey) = self.survey.take()
        {
            self.survey_answered(now, survey, outcome);
        }
    }

    fn survey_answered(&mut self, now: Instant, survey: Survey, outcome: Outcome) {
        let mut is_stale = survey.is_stale;
        match outcome {
            Outcome::Arm(Ok(()) | Err(SessionError::Unsupported)) | Outcome::Await(Ok(true)) => {
                is_stale = true;
            }
            Outcome::List(Ok(names)) => self.listed(names, survey.touched),
            Outcome::List(Err(SessionError::NoNode(_))) => {
                self.missing();
                if self.watching == Watching::Each && !is_stale {
                    self.ask_survey(Ask::Await(self.path.clone()));
                }
            }
            Outcome::Await(Ok(false)) | Outcome::Read(..) => {}
            Outcome::Arm(Err(error)) | Outcome::Await(Err(error)) | Outcome::List(Err(error)) => {
                self.retry.add(now, Late::Farm, false);
                if !error.is_transient() && self.state != State::Refused {
                    self.state = State::Refused;
                    self.tell(News::Refused(error));
                }
                // The retry asks about everything that was missed meanwhile.
                self.is_reload = true;
                return;
            }
        }
        if is_stale {
            self.begin_survey();
        }
    }

    fn missing(&mut self) {
        self.hosts.clear();
        self.queue.clear();
        self.unread = 0;
        self.is_reload = true;
        if self.state != State::Missing {
            self.state = State::Missing;
            self.tell(News::Missing);
        }
    }

    fn listed(&mut self, names: Vec<String>, touched: BTreeSet<HostName>) {
        let mut listed = BTreeSet::new();
        self.skipped.retain(|name| names.binary_search(name).is_ok());
        for name in names {
            match HostName::parse(&name) {
                Ok(host) => {
                    listed.insert(host);
                }
                Err(error) => self.skip(name, error),
            }
        }
        let known = self.hosts.keys().chain(self.farm.iter().map(|(name, _)| name));
        let is_gone = |name: &&HostName| !listed.contains(*name) && !touched.contains(*name);
        let gone: BTreeSet<HostName> = known.filter(is_gone).cloned().collect();
        for name in &gone {
            self.remove(name);
        }
        let is_reload = std::mem::take(&mut self.is_reload);
        for name in listed.union(&touched) {
            // One that is just being read may have been read before it came back.
            let is_settled = self.hosts.get(name).is_some_and(|host| host.phase == Phase::Idle);
            if is_reload || !is_settled || touched.contains(name) {
                self.want(name);
            }
        }
        if self.state != State::Complete {
            self.state = State::Loading;
        }
    }

    fn remove(&mut self, name: &HostName) {
        if self.hosts.remove(name).is_some_and(|host| !host.is_fresh) {
            self.unread -= 1;
        }
        self.retry.remove(&Late::Host(name.clone()));
        if self.farm.remove(name.as_str()).is_some() {
            self.tell(News::Changed(name.clone()));
        }
    }

    fn host_answered(
        &mut self,
        now: Instant,
        ticket: u64,
        name: &HostName,
        read: Result<Record, Unreadable>,
    ) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        let Phase::Reading { ticket: expected, is_stale } = host.phase else { return };
        if expected != ticket {
            return;
        }
        host.phase = Phase::Idle;
        if is_stale {
            // What was read may be older than a change that we know of. A record is
            // taken all the same, lest a busy host never be seen; but one that seems
            // gone may be back.
            self.want(name);
        }
        let Some(host) = self.hosts.get_mut(name) else { return };
        let is_first_trouble = !host.is_unreadable;
        match read {
            Err(Unreadable::Refused(SessionError::NoNode(_))) if is_stale => return,
            Err(Unreadable::Refused(SessionError::NoNode(_))) => return self.remove(name),
            Err(Unreadable::Refused(error)) if error.is_transient() => {
                return self.retry.add(now, Late::Host(name.clone()), is_first_trouble);
            }
            Ok(record) => {
                host.is_unreadable = false;
                self.retry.remove(&Late::Host(name.clone()));
                if self.farm.get(name.as_str()) != Some(&record) {
                    self.farm.insert(name.clone(), record);
                    self.tell(News::Changed(name.clone()));
                }
            }
            Err(why) => {
                host.is_unreadable = true;
                match why {
                    // Whoever mends it sets it, and that is a hint.
                    Unreadable::Malformed(_) => self.retry.remove(&Late::Host(name.clone())),
                    Unreadable::Refused(_) => {
                        self.retry.add(now, Late::Host(name.clone()), is_first_trouble);
                    }
                }
                if is_first_trouble {
                    self.tell(News::Unreadable(name.clone(), why));
                }
            }
        }
        if let Some(host) = self.hosts.get_mut(name)
            && !host.is_fresh
        {
            host.is_fresh = true;
            self.unread -= 1;
        }
    }

    fn settle(&mut self) {
        let is_listed = !self.is_reload && self.survey.is_none();
        if self.state == State::Loading && is_listed && self.unread == 0 {
            self.state = State::Complete;
            self.tell(News::Complete);
        }
    }

    fn tick(&mut self, now: Instant) {
        for late in self.retry.take(now) {
            match late {
                Late::Farm => self.begin_survey(),
                Late::Host(name) if self.hosts.contains_key(&name) => self.want(&name),
                Late::Host(_) => {}
            }
        }
    }
}
