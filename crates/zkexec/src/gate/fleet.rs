//! How the farm is that this host belongs to, kept fresh.
//!
//! A pure machine around a [`Roster`] that reads the farm's own record too, which tells
//! how many hosts there should be and which of them run.
//!
//! **Invariant.** What is judged was read since the latest contact, all of it. As long
//! as anything is not known, the verdict is that nobody knows.

mod require;
#[cfg(test)]
mod tests;
mod verdict;

pub(crate) use require::RequireHealthy;
pub(crate) use verdict::{Doubt, FleetVerdict, ThisHost};

use farm_core::farm::roster::{self, Action, News, State, Unreadable};
use farm_core::farm::{COMMON, Roster};
use farm_core::model::{HostName, Record, farm_size, running_filter};
use std::time::Instant;
use verdict::Terms;

pub(crate) use farm_core::farm::roster::{Answer, Event};

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Fleet {
    required: RequireHealthy,
    this: ThisHost,
    /// This host has been seen among the others.
    was_seen: bool,
    roster: Roster,
}

impl Fleet {
    /// The farm that has to be well, about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(required: RequireHealthy, this: ThisHost) -> Self {
        let roster = Roster::with_own_record(required.farm.clone());
        Self { required, this, was_seen: false, roster }
    }

    /// May this host be taken out of the farm, as far as is known now? To have it
    /// judged by what is true now, send [`Event::Refresh`] and wait until it is known
    /// again.
    #[must_use]
    pub(crate) fn verdict(&self) -> FleetVerdict {
        self.terms().map_or_else(FleetVerdict::Unknown, |terms| self.judge(&terms))
    }

    fn terms(&self) -> Result<Terms, Doubt> {
        match self.roster.state() {
            State::Away => return Err(Doubt::Away),
            State::Missing => return Err(Doubt::NoFarm),
            State::Loading => return Err(Doubt::Reading),
            State::Refused => {
                return Err(self.roster.refusal().cloned().map_or(Doubt::Reading, Doubt::Refused));
            }
            State::Complete => {}
        }
        let record = match self.roster.own_record().ok_or(Doubt::Reading)? {
            Ok(record) => record,
            Err(Unreadable::Malformed(error)) => return Err(Doubt::Malformed(error)),
            Err(Unreadable::Refused(error)) => return Err(Doubt::Refused(error)),
        };
        Ok(Terms {
            size: farm_size(record).map_err(Doubt::Size)?,
            running: running_filter(record).map_err(Doubt::RunningFilter)?,
        })
    }

    fn judge(&self, terms: &Terms) -> FleetVerdict {
        let hosts: Vec<(HostName, Option<&Record>)> = self.roster.hosts().collect();
        let hosts = hosts.iter().map(|(name, record)| (name.as_str(), *record));
        let hosts = hosts.filter(|(name, _)| *name != COMMON);
        FleetVerdict::of(terms, hosts, &self.this, self.was_seen, &self.required.max_failed)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.roster.deadline()
    }

    /// Takes one event; the answer is what to ask.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<roster::Request> {
        let mut requests = Vec::new();
        for action in self.roster.step(now, event) {
            match action {
                Action::Ask(request) => requests.push(request),
                Action::Tell(News::Changed(host)) => {
                    if self.roster.farm().get(host.as_str()).is_some() {
                        self.meet(&host);
                    }
                }
                // It fails, and is judged with the others.
                Action::Tell(News::Unreadable(host, _)) => self.meet(&host),
                Action::Tell(
                    News::Complete | News::Missing | News::Refused(_) | News::Skipped(..),
                ) => {}
            }
        }
        requests
    }

    /// A host is there, whether it can be read or not.
    fn meet(&mut self, host: &HostName) {
        let record = self.roster.farm().get(host.as_str());
        self.was_seen = self.was_seen || self.this.is(host.as_str(), record);
    }
}
