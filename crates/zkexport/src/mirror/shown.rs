//! What the file has, and where the farm is another one by now.

use farm_core::model::{Farm, Filter, HostName, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct Shown {
    filter: Option<Filter>,
    /// For so long a host must be gone before the file is without it.
    absence: Duration,
    /// What the file has, once we have stored it.
    farm: Option<Arc<Farm>>,
    /// The hosts that the file shows otherwise than the farm does.
    differing: BTreeSet<HostName>,
    /// Those of them, and of them alone, that have left, and when.
    leaving: BTreeMap<HostName, Instant>,
}

impl Shown {
    pub(super) const fn new(filter: Option<Filter>, absence: Duration) -> Self {
        Self { filter, absence, farm: None, differing: BTreeSet::new(), leaving: BTreeMap::new() }
    }

    /// Has the file been stored at least once?
    pub(super) const fn is_begun(&self) -> bool {
        self.farm.is_some()
    }

    /// How many hosts the file has.
    pub(super) fn count(&self) -> usize {
        self.farm.as_ref().map_or(0, |farm| farm.len())
    }

    pub(super) fn is_equal(&self) -> bool {
        self.differing.is_empty()
    }

    /// Does it differ by more than hosts that left?
    pub(super) fn has_other(&self) -> bool {
        self.differing.len() > self.leaving.len()
    }

    pub(super) fn is_leaving(&self, host: &HostName) -> bool {
        self.leaving.contains_key(host)
    }

    /// When the first and the last of those that left did so.
    pub(super) fn left(&self) -> Option<(Instant, Instant)> {
        Some((*self.leaving.values().min()?, *self.leaving.values().max()?))
    }

    /// Compares every host; tells whether one differs that has not just left.
    pub(super) fn compare_all(&mut self, now: Instant, farm: &Farm) -> bool {
        let shown = self.farm.clone();
        let shown = shown.iter().flat_map(|shown| shown.iter());
        let mut has_other = false;
        for host in farm.iter().chain(shown).map(|(name, _)| name).collect::<BTreeSet<_>>() {
            has_other |= self.compare(now, host, farm) && !self.is_leaving(host);
        }
        has_other
    }

    /// Notes whether the file shows this host as the farm has it.
    pub(super) fn compare(&mut self, now: Instant, host: &HostName, farm: &Farm) -> bool {
        let shown = self.farm.as_ref().and_then(|shown| shown.get(host.as_str()));
        let there = farm.get(host.as_str());
        let wanted = there.filter(|record| self.keeps(record));
        let differs = shown != wanted;
        if differs && there.is_none() {
            self.leaving.entry(host.clone()).or_insert(now);
        } else {
            self.leaving.remove(host);
        }
        if differs {
            self.differing.insert(host.clone());
        } else {
            self.differing.remove(host);
        }
        differs
    }

    fn keeps(&self, record: &Record) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.keeps(record))
    }

    /// What the file shall have: of those that left, the ones that may be back soon stay.
    pub(super) fn wanted(&mut self, now: Instant, farm: &Farm) -> Farm {
        let mut wanted = match &self.filter {
            Some(filter) => farm.kept_by(filter),
            None => farm.clone(),
        };
        self.leaving.retain(|_, left| *left + self.absence > now);
        if let Some(shown) = &self.farm {
            for host in self.leaving.keys() {
                if let Some(record) = shown.get(host.as_str()) {
                    wanted.insert(host.clone(), record.clone());
                }
            }
        }
        wanted
    }

    /// The file has this now; tells whether it is the first that we stored.
    pub(super) fn stored(&mut self, farm: Arc<Farm>) -> bool {
        self.differing = self.leaving.keys().cloned().collect();
        self.farm.replace(farm).is_none()
    }
}
