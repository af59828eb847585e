//! How the farm is that this host belongs to, kept fresh.
//!
//! A pure machine around a [`Roster`]: beside the hosts it watches the farm's own
//! record, which tells how many of them there should be and which of them run.
//!
//! **Invariant.** What is judged was read since the latest contact, all of it. As long
//! as anything is not known, the verdict is that nobody knows.

mod require;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use require::RequireHealthy;
pub(crate) use verdict::{Doubt, FleetVerdict, ThisHost};

use farm_core::codec::json::decode_znode;
use farm_core::engine::Backoff;
use farm_core::farm::roster::{self, Action, News, State, Unreadable};
use farm_core::farm::{COMMON, Roster, look};
use farm_core::model::{HostName, Record, farm_size, running_filter};
use farm_core::session::{Change, Client, ReaderEvent, Session, SessionError, ZnodePath};
use std::sync::Arc;
use std::time::{Duration, Instant};
use verdict::Terms;

const RETRY_LEAST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(5 * 60);

/// What happened.
pub(crate) type Event = ReaderEvent<Answer>;

/// Something to ask ZooKeeper on behalf of a fleet.
#[derive(Debug)]
pub(crate) struct Request(Ask);

#[derive(Debug)]
enum Ask {
    Hosts(roster::Request),
    Own { ticket: u64, path: ZnodePath },
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer(Outcome);

#[derive(Debug)]
enum Outcome {
    Hosts(roster::Answer),
    Own { ticket: u64, read: OwnRead },
}

/// The farm's own record; `None` if there is no farm.
type OwnRead = Result<Option<Record>, Unreadable>;

impl Request {
    /// Has a courier ask; `post` is called with the answer, on its thread.
    pub(crate) fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        match self.0 {
            Ask::Hosts(request) => {
                request.dispatch(session, |answer| post(Answer(Outcome::Hosts(answer))));
            }
            Ask::Own { ticket, path } => session.dispatch(move |client| {
                post(Answer(Outcome::Own { ticket, read: read_own(client, &path) }));
            }),
        }
    }
}

fn read_own(client: &Client, path: &ZnodePath) -> OwnRead {
    let Some(znode) = look(client, path).map_err(Unreadable::Refused)? else { return Ok(None) };
    decode_znode(&znode.data).map(Some).map_err(Unreadable::Malformed)
}

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Fleet {
    required: RequireHealthy,
    this: ThisHost,
    /// This host has been seen among the others.
    was_seen: bool,
    roster: Roster,
    /// Why the farm can't be listed, while it can't.
    refusal: Option<SessionError>,
    own: Own,
}

/// The farm's own record.
#[derive(Debug)]
struct Own {
    terms: Result<Terms, Doubt>,
    next_ticket: u64,
    /// The read that is under way.
    reading: Option<Reading>,
    retry: Option<Instant>,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    ticket: u64,
    /// It changed since: read it again.
    is_stale: bool,
}

impl Fleet {
    /// The farm that has to be well, about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(required: RequireHealthy, this: ThisHost) -> Self {
        let roster = Roster::new(required.farm.clone());
        let own = Own {
            terms: Err(Doubt::Reading),
            next_ticket: 0,
            reading: None,
            retry: None,
            backoff: Backoff::new(RETRY_LEAST, RETRY_MOST),
        };
        Self { required, this, was_seen: false, roster, refusal: None, own }
    }

    /// May this host be taken out of the farm, as far as is known now? To have it
    /// judged by what is true now, send [`Event::Refresh`] and wait until it is known
    /// again.
    #[must_use]
    pub(crate) fn verdict(&self) -> FleetVerdict {
        let doubt = match (self.roster.state(), &self.own.terms) {
            (State::Away, _) => Doubt::Away,
            (State::Missing, _) => Doubt::NoFarm,
            (State::Refused, _) => self.refusal.clone().map_or(Doubt::Reading, Doubt::Refused),
            (State::Complete, Ok(terms)) => return self.judge(terms),
            (State::Loading, _) => Doubt::Reading,
            (State::Complete, Err(doubt)) => doubt.clone(),
        };
        FleetVerdict::Unknown(doubt)
    }

    fn judge(&self, terms: &Terms) -> FleetVerdict {
        let hosts = self.roster.hosts().map(|(name, record)| (name.as_str(), record));
        let hosts = hosts.filter(|(name, _)| *name != COMMON);
        FleetVerdict::of(terms, hosts, &self.this, self.was_seen, &self.required.max_failed)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.roster.deadline(), self.own.retry].into_iter().flatten().min()
    }

    /// Takes one event; the answer is what to ask.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Request> {
        let mut requests = Vec::new();
        match event {
            Event::Connected { is_new } => {
                self.own.forget();
                requests.extend(self.ask_own());
                self.roster(now, roster::Event::Connected { is_new }, &mut requests);
            }
            Event::Away => {
                self.own.forget();
                self.roster(now, roster::Event::Away, &mut requests);
            }
            Event::Hint(hint) => {
                // Of children the roster takes care.
                if hint.path == self.required.farm && hint.change != Change::Children {
                    requests.extend(self.ask_own());
                }
                self.roster(now, roster::Event::Hint(hint), &mut requests);
            }
            Event::Answered(Answer(Outcome::Own { ticket, read })) => {
                if self.own.answered(now, ticket, read) {
                    requests.extend(self.ask_own());
                }
            }
            Event::Answered(Answer(Outcome::Hosts(answer))) => {
                self.roster(now, roster::Event::Answered(answer), &mut requests);
            }
            Event::Refresh => {
                if self.roster.state() != State::Away {
                    self.own.terms = Err(Doubt::Reading);
                    requests.extend(self.ask_own());
                }
                self.roster(now, roster::Event::Refresh, &mut requests);
            }
            Event::Tick => {
                if self.own.retry.is_some_and(|at| at <= now) {
                    requests.extend(self.ask_own());
                }
                self.roster(now, roster::Event::Tick, &mut requests);
            }
        }
        requests
    }

    fn roster(&mut self, now: Instant, event: roster::Event, requests: &mut Vec<Request>) {
        for action in self.roster.step(now, event) {
            match action {
                Action::Ask(request) => requests.push(Request(Ask::Hosts(request))),
                Action::Tell(News::Changed(host)) => {
                    if self.roster.farm().get(host.as_str()).is_some() {
                        self.meet(&host);
                    }
                }
                // It fails, and is judged with the others.
                Action::Tell(News::Unreadable(host, _)) => self.meet(&host),
                Action::Tell(News::Refused(error)) => self.refusal = Some(error),
                Action::Tell(News::Complete | News::Missing | News::Skipped(..)) => {}
            }
        }
    }

    /// A host is there, whether it can be read or not.
    fn meet(&mut self, host: &HostName) {
        let record = self.roster.farm().get(host.as_str());
        self.was_seen = self.was_seen || self.this.is(host.as_str(), record);
    }

    /// Asks for the farm's own record, or later if it is just being asked for.
    fn ask_own(&mut self) -> Option<Request> {
        self.own.retry = None;
        if let Some(reading) = &mut self.own.reading {
            reading.is_stale = true;
            return None;
        }
        let ticket = self.own.next_ticket;
        self.own.next_ticket += 1;
        self.own.reading = Some(Reading { ticket, is_stale: false });
        Some(Request(Ask::Own { ticket, path: self.required.farm.clone() }))
    }
}

impl Own {
    /// What was read, and what is under way, is of an earlier contact.
    fn forget(&mut self) {
        self.terms = Err(Doubt::Reading);
        self.reading = None;
        self.retry = None;
        self.backoff.reset();
    }

    /// Takes the answer; has it to be asked for again?
    fn answered(&mut self, now: Instant, ticket: u64, read: OwnRead) -> bool {
        let Some(reading) = self.reading.filter(|reading| reading.ticket == ticket) else {
            return false;
        };
        self.reading = None;
        if reading.is_stale {
            // It may be older than what made us ask; until then the last one counts.
            return true;
        }
        if let Err(Unreadable::Refused(error)) = &read {
            // A change of an access list is never announced.
            self.retry = Some(now + self.backoff.delay());
            if error.is_transient() {
                return false;
            }
        } else {
            self.backoff.reset();
        }
        self.terms = terms(read);
        false
    }
}

fn terms(read: OwnRead) -> Result<Terms, Doubt> {
    let record = match read {
        Ok(Some(record)) => record,
        Ok(None) => return Err(Doubt::NoFarm),
        Err(Unreadable::Malformed(error)) => return Err(Doubt::Malformed(Arc::new(error))),
        Err(Unreadable::Refused(error)) => return Err(Doubt::Refused(error)),
    };
    Ok(Terms {
        size: farm_size(&record).map_err(Doubt::Size)?,
        running: running_filter(&record).map_err(Doubt::RunningFilter)?,
    })
}
