//! The health of the farm that this host belongs to, kept fresh.
//!
//! A pure state machine around a [`FarmView`] that reads the farm's own record too, which holds the
//! size of the farm and the filter for running hosts.
//!
//! **Invariant.** A verdict is based only on what was read over the current connection. While
//! anything is missing, the verdict is [`FarmVerdict::Unknown`].

mod require;
#[cfg(test)]
mod tests;
mod verdict;

pub use require::{RequireError, RequireHealthy};
pub(crate) use verdict::ThisHost;
pub use verdict::{FarmVerdict, UnknownReason};

use crate::farm::view::{self, News, State, Unreadable};
use crate::farm::{COMMON, FarmView};
use crate::model::{HostName, PackedRecord, farm_size, running_filter};
use crate::session::Action;
use std::time::Instant;
use verdict::VerdictRules;

pub(crate) use crate::farm::view::{Answer, Event};

/// The state machine.
#[derive(Debug)]
pub(crate) struct FarmHealth {
    required: RequireHealthy,
    this: ThisHost,
    /// Whether this host has been seen in the farm.
    was_seen: bool,
    view: FarmView,
}

impl FarmHealth {
    /// The farm that has to be healthy, which is not read yet.
    #[must_use]
    pub(crate) fn new(required: RequireHealthy, this: ThisHost) -> Self {
        let view = FarmView::with_own_record(required.farm.clone());
        Self { required, this, was_seen: false, view }
    }

    /// Whether this host may be taken out of the farm, by what was read last. For a fresh verdict,
    /// send [`Event::Refresh`] and wait until the verdict is known again.
    #[must_use]
    pub(crate) fn verdict(&self) -> FarmVerdict {
        self.rules().map_or_else(FarmVerdict::Unknown, |rules| self.judge(&rules))
    }

    fn rules(&self) -> Result<VerdictRules, UnknownReason> {
        match self.view.state() {
            State::Disconnected => return Err(UnknownReason::Away),
            State::Missing => return Err(UnknownReason::NoFarm),
            State::Loading => return Err(UnknownReason::Reading),
            State::Refused => {
                let error = self.view.refusal().cloned();
                return Err(error.map_or(UnknownReason::Reading, UnknownReason::Refused));
            }
            State::Complete => {}
        }
        let record = match self.view.own_record().ok_or(UnknownReason::Reading)? {
            Ok(record) => record.unpack(),
            Err(Unreadable::Malformed(error)) => return Err(UnknownReason::Malformed(error)),
            Err(Unreadable::Refused(error)) => return Err(UnknownReason::Refused(error)),
        };
        Ok(VerdictRules {
            size: farm_size(&record).map_err(UnknownReason::Size)?,
            running: running_filter(&record).map_err(UnknownReason::RunningFilter)?,
        })
    }

    fn judge(&self, rules: &VerdictRules) -> FarmVerdict {
        let hosts: Vec<(HostName, Option<&PackedRecord>)> = self.view.hosts().collect();
        let hosts =
            hosts.iter().map(|(name, record)| (name.as_str(), record.map(PackedRecord::unpack)));
        let hosts = hosts.filter(|(name, _)| *name != COMMON);
        FarmVerdict::of(rules, hosts, &self.this, self.was_seen, &self.required.max_failed)
    }

    /// When [`Event::Tick`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.view.deadline()
    }

    /// Takes one event; returns the requests that follow.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<view::Request> {
        let mut requests = Vec::new();
        for action in self.view.step(now, event) {
            match action {
                Action::Request(request) => requests.push(request),
                // The host has left the farm.
                Action::Report(News::Changed(host))
                    if self.view.farm().get(host.as_str()).is_none() => {}
                // An unreadable host counts as failing.
                Action::Report(News::Changed(host) | News::Unreadable(host, _)) => {
                    let record = self.view.farm().get(host.as_str()).map(PackedRecord::unpack);
                    self.was_seen |= self.this.is(host.as_str(), record.as_deref());
                }
                Action::Report(
                    News::Complete
                    | News::Missing
                    | News::Refused(_)
                    | News::Readable(_)
                    | News::Skipped(..),
                ) => {}
            }
        }
        requests
    }
}
