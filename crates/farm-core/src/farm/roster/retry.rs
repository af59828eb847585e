//! What has to be asked again although nothing will tell when.

use crate::engine::Backoff;
use crate::model::HostName;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(5 * 60);

/// One clock for all of it: a change of an access list is never announced, and
/// looking again at each forbidden host on its own would cost a timer per host.
#[derive(Debug)]
pub(super) struct Retry {
    at: Option<Instant>,
    backoff: Backoff,
    is_farm_due: bool,
    hosts: BTreeSet<HostName>,
}

impl Retry {
    pub(super) const fn new() -> Self {
        let backoff = Backoff::new(RETRY_LEAST, RETRY_MOST);
        Self { at: None, backoff, is_farm_due: false, hosts: BTreeSet::new() }
    }

    /// Forgets everything: it is about to be asked anyway.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    pub(super) fn add_farm(&mut self, now: Instant) {
        self.is_farm_due = true;
        self.at.get_or_insert(now + self.backoff.delay());
    }

    pub(super) fn add_host(&mut self, now: Instant, host: &HostName, is_first_time: bool) {
        self.hosts.insert(host.clone());
        if is_first_time {
            self.backoff.reset();
            self.at = None;
        }
        self.at.get_or_insert_with(|| now + self.backoff.delay());
    }

    /// No need to ask about this host any more.
    pub(super) fn drop_host(&mut self, host: &HostName) {
        if self.hosts.remove(host) && self.hosts.is_empty() && !self.is_farm_due {
            self.clear();
        }
    }

    /// What is due now, if anything: whether the farm is, and which hosts are.
    pub(super) fn take(&mut self, now: Instant) -> Option<(bool, BTreeSet<HostName>)> {
        if self.at.is_none_or(|at| at > now) {
            return None;
        }
        self.at = None;
        Some((std::mem::take(&mut self.is_farm_due), std::mem::take(&mut self.hosts)))
    }
}
