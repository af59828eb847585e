//! How the farm is that this host belongs to, kept fresh.
//!
//! A pure machine around a [`FarmView`] that reads the farm's own record too, which tells
//! how many hosts there should be and which of them run.
//!
//! **Invariant.** What is judged was read since the latest contact, all of it. As long
//! as anything is not known, the verdict is that nobody knows.

mod require;
#[cfg(test)]
mod tests;
mod verdict;

pub use require::{RequireError, RequireHealthy};
pub(crate) use verdict::ThisHost;
pub use verdict::{FarmVerdict, UnknownReason};

use crate::farm::view::{self, News, State, Unreadable};
use crate::farm::{COMMON, FarmView};
use crate::model::{HostName, Record, farm_size, running_filter};
use crate::session::Action;
use std::time::Instant;
use verdict::VerdictRules;

pub(crate) use crate::farm::view::{Answer, Event};

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct FarmHealth {
    required: RequireHealthy,
    this: ThisHost,
    /// This host has been seen among the others.
    was_seen: bool,
    view: FarmView,
}

impl FarmHealth {
    /// The farm that has to be well, about which nothing is known yet.
    #[must_use]
    pub(crate) fn new(required: RequireHealthy, this: ThisHost) -> Self {
        let view = FarmView::with_own_record(required.farm.clone());
        Self { required, this, was_seen: false, view }
    }

    /// May this host be taken out of the farm, as far as is known now? To have it
    /// judged by what is true now, send [`Event::Refresh`] and wait until it is known
    /// again.
    #[must_use]
    pub(crate) fn verdict(&self) -> FarmVerdict {
        self.terms().map_or_else(FarmVerdict::Unknown, |terms| self.judge(&terms))
    }

    fn terms(&self) -> Result<VerdictRules, UnknownReason> {
        match self.view.state() {
            State::Away => return Err(UnknownReason::Away),
            State::Missing => return Err(UnknownReason::NoFarm),
            State::Loading => return Err(UnknownReason::Reading),
            State::Refused => {
                let error = self.view.refusal().cloned();
                return Err(error.map_or(UnknownReason::Reading, UnknownReason::Refused));
            }
            State::Complete => {}
        }
        let record = match self.view.own_record().ok_or(UnknownReason::Reading)? {
            Ok(record) => record,
            Err(Unreadable::Malformed(error)) => return Err(UnknownReason::Malformed(error)),
            Err(Unreadable::Refused(error)) => return Err(UnknownReason::Refused(error)),
        };
        Ok(VerdictRules {
            size: farm_size(record).map_err(UnknownReason::Size)?,
            running: running_filter(record).map_err(UnknownReason::RunningFilter)?,
        })
    }

    fn judge(&self, terms: &VerdictRules) -> FarmVerdict {
        let hosts: Vec<(HostName, Option<&Record>)> = self.view.hosts().collect();
        let hosts = hosts.iter().map(|(name, record)| (name.as_str(), *record));
        let hosts = hosts.filter(|(name, _)| *name != COMMON);
        FarmVerdict::of(terms, hosts, &self.this, self.was_seen, &self.required.max_failed)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.view.deadline()
    }

    /// Takes one event; the answer is what to ask.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<view::Request> {
        let mut requests = Vec::new();
        for action in self.view.step(now, event) {
            match action {
                Action::Ask(request) => requests.push(request),
                // It has gone.
                Action::Tell(News::Changed(host))
                    if self.view.farm().get(host.as_str()).is_none() => {}
                // One that can't be read fails, and is judged with the others.
                Action::Tell(News::Changed(host) | News::Unreadable(host, _)) => {
                    let record = self.view.farm().get(host.as_str());
                    self.was_seen |= self.this.is(host.as_str(), record);
                }
                Action::Tell(
                    News::Complete | News::Missing | News::Refused(_) | News::Skipped(..),
                ) => {}
            }
        }
        requests
    }
}
