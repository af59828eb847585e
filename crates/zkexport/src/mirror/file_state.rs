//! The hosts in the file, and those that differ from the farm.

use crate::view::View;
use farm_core::model::{Farm, HostName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) struct FileState {
    view: View,
    /// How long a host must be gone before it leaves the file.
    absence_min: Duration,
    /// The farm in the file; `None` until we have stored it.
    farm: Option<Arc<Farm>>,
    /// The hosts that the file lacks or holds differently from the farm.
    differing: BTreeSet<HostName>,
    /// The hosts of `differing` that have left the farm, and when.
    leaving: BTreeMap<HostName, Instant>,
}

impl FileState {
    pub(super) const fn new(view: View, absence_min: Duration) -> Self {
        let differing = BTreeSet::new();
        let leaving = BTreeMap::new();
        Self { view, absence_min, farm: None, differing, leaving }
    }

    /// Whether the file has been stored at least once.
    pub(super) const fn is_stored(&self) -> bool {
        self.farm.is_some()
    }

    /// How many hosts are in the file.
    pub(super) fn host_count(&self) -> usize {
        self.farm.as_ref().map_or(0, |farm| farm.len())
    }

    pub(super) fn is_equal(&self) -> bool {
        self.differing.is_empty()
    }

    /// Whether the file differs by more than hosts that left.
    pub(super) fn differs_besides_leaving(&self) -> bool {
        self.differing.len() > self.leaving.len()
    }

    pub(super) fn is_leaving(&self, host: &HostName) -> bool {
        self.leaving.contains_key(host)
    }

    /// When the first and the last of the hosts in `leaving` left.
    pub(super) fn leaving_times(&self) -> Option<(Instant, Instant)> {
        Some((*self.leaving.values().min()?, *self.leaving.values().max()?))
    }

    /// Compares all hosts; returns whether one differs that has not left.
    pub(super) fn compare_all(&mut self, now: Instant, farm: &Farm) -> bool {
        let in_file = self.farm.clone();
        let in_file = in_file.iter().flat_map(|farm| farm.iter());
        let mut differs = false;
        for host in farm.iter().chain(in_file).map(|(name, _)| name).collect::<BTreeSet<_>>() {
            differs |= self.compare(now, host, farm) && !self.is_leaving(host);
        }
        differs
    }

    /// Records and returns whether this host differs between the file and the farm.
    pub(super) fn compare(&mut self, now: Instant, host: &HostName, farm: &Farm) -> bool {
        let in_file = self.farm.as_ref().and_then(|file| file.get(host.as_str()));
        let in_farm = farm.get(host.as_str());
        let wanted = in_farm.and_then(|record| self.view.of(record));
        let differs = in_file != wanted.as_ref();
        if differs && in_farm.is_none() {
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

    /// The hosts to write, with those that left and may be back soon.
    pub(super) fn wanted(&mut self, now: Instant, farm: &Farm) -> Farm {
        let mut wanted = self.view.of_farm(farm);
        self.leaving.retain(|_, left| *left + self.absence_min > now);
        if let Some(file) = &self.farm {
            for host in self.leaving.keys() {
                if let Some(record) = file.get(host.as_str()) {
                    wanted.insert(host.clone(), record.clone());
                }
            }
        }
        wanted
    }

    /// The file holds this farm now; returns whether this is the first store.
    pub(super) fn stored(&mut self, farm: Arc<Farm>) -> bool {
        self.differing = self.leaving.keys().cloned().collect();
        self.farm.replace(farm).is_none()
    }
}
