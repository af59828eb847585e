//! Holds hosts whose znodes go all at once: they stay in the file for a while.
//!
//! A pure state machine between the farm view and the mirror. When much of a farm
//! vanishes at once, the likely cause is ZooKeeper or the network, and a file without
//! those hosts would make the outage worse.
//!
//! **Invariant.** A host without a znode is shown only while it is undecided, until the
//! next [`Hold::decide`], or held, until its time is over.

#[cfg(test)]
mod tests;

use farm_core::model::{Farm, HostName, PackedRecord};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Hosts that go within this time go at once.
const WINDOW: Duration = Duration::from_secs(10);
/// A single host may always go, however few there are.
const HOSTS_LEAST: usize = 2;

/// When hosts are held, and for how long (`--hold-drop`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct HoldPolicy {
    /// The share of the farm that must go at once, in percent.
    pub(crate) percent: f64,
    /// How long hosts are held at most.
    pub(crate) limit: Duration,
}

impl HoldPolicy {
    fn is_drop(&self, gone: usize, hosts: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a farm has fewer than 2^52 hosts")]
        let is_share = gone as f64 * 100.0 >= self.percent * hosts as f64;
        gone >= HOSTS_LEAST && is_share
    }
}

/// A host came or went.
#[derive(Debug)]
struct Change {
    at: Instant,
    host: HostName,
    is_arrival: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its znode has just gone; it is still shown.
    Undecided,
    /// It is not shown, but is shown again if it turns out to be part of a drop.
    Removed,
    /// It is shown until then.
    Held { until: Instant },
    /// It was held, and did not come back.
    Expired,
}

/// A host without a znode.
#[derive(Debug)]
struct Absent {
    left_at: Instant,
    /// Its last record.
    record: PackedRecord,
    state: State,
}

/// What [`Hold::decide`] has decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The hosts that are shown differently now.
    pub(crate) changed: Vec<HostName>,
    /// How many are held from now on.
    pub(crate) held: usize,
    /// How many are no longer held, because their time is over.
    pub(crate) expired: usize,
}

/// The state machine; see the module documentation.
#[derive(Debug)]
pub(crate) struct Hold {
    policy: HoldPolicy,
    /// Whether the farm has ever been complete.
    is_known: bool,
    /// The hosts that are shown: those with a znode, and those that are held.
    farm: Farm,
    absent: BTreeMap<HostName, Absent>,
    /// How many of `absent` are held.
    held: usize,
    /// The changes within the latest [`WINDOW`], by time.
    changes: VecDeque<Change>,
}

impl Hold {
    pub(crate) const fn new(policy: HoldPolicy) -> Self {
        Self {
            policy,
            is_known: false,
            farm: Farm::new(),
            absent: BTreeMap::new(),
            held: 0,
            changes: VecDeque::new(),
        }
    }

    /// The farm as shown, held hosts included.
    pub(crate) const fn farm(&self) -> &Farm {
        &self.farm
    }

    /// How many hosts are held.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// How long hosts are held at most.
    pub(crate) const fn limit(&self) -> Duration {
        self.policy.limit
    }

    /// When [`Hold::decide`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |absent: &Absent| match absent.state {
            State::Undecided => Some(absent.left_at),
            State::Held { until } => Some(until),
            State::Removed | State::Expired => None,
        };
        self.absent.values().filter_map(due).min()
    }

    /// Takes a host that came, went or has another record; returns whether it is shown
    /// differently now.
    pub(crate) fn changed(&mut self, now: Instant, host: &HostName, farm: &Farm) -> bool {
        // Before the farm is complete, no host counts as having come or gone.
        if !self.is_known {
            return false;
        }
        match (farm.get(host.as_str()), self.absent.contains_key(host)) {
            (Some(record), was_absent) => {
                let was_there = !was_absent && self.farm.get(host.as_str()).is_some();
                if !was_there {
                    let absent = self.absent.remove(host);
                    let is_held = |absent: &Absent| matches!(absent.state, State::Held { .. });
                    self.held -= usize::from(absent.as_ref().is_some_and(is_held));
                    let host = host.clone();
                    self.changes.push_back(Change { at: now, host, is_arrival: true });
                }
                self.farm.insert(host.clone(), record.clone()).as_ref() != Some(record)
            }
            (None, false) => {
                if let Some(record) = self.farm.get(host.as_str()).cloned() {
                    let state = State::Undecided;
                    self.absent.insert(host.clone(), Absent { left_at: now, record, state });
                    let host = host.clone();
                    self.changes.push_back(Change { at: now, host, is_arrival: false });
                }
                false
            }
            (None, true) => false,
        }
    }

    /// Takes a farm that is complete, and decides at once.
    pub(crate) fn complete(&mut self, now: Instant, farm: &Farm) -> Decision {
        if !self.is_known {
            self.is_known = true;
            self.farm = farm.clone();
            return Decision::default();
        }
        let shown: Vec<HostName> = self.farm.iter().map(|(name, _)| name.clone()).collect();
        let there = farm.iter().map(|(name, _)| name);
        for host in there.chain(&shown).collect::<BTreeSet<_>>() {
            self.changed(now, host, farm);
        }
        self.decide(now)
    }

    /// Decides about hosts that have gone, and removes held hosts whose time is over.
    pub(crate) fn decide(&mut self, now: Instant) -> Decision {
        let mut decision = Decision::default();
        let is_recent = |at: Instant| now.saturating_duration_since(at) < WINDOW;
        while self.changes.front().is_some_and(|first| !is_recent(first.at)) {
            self.changes.pop_front();
        }
        let is_undecided = |absent: &Absent| absent.state == State::Undecided;
        let start = if self.absent.values().any(is_undecided) { self.drop_start() } else { None };
        let until = now + self.policy.limit;
        for (host, absent) in &mut self.absent {
            let is_in_drop = start.is_some_and(|start| start <= absent.left_at);
            match absent.state {
                State::Undecided | State::Removed if is_in_drop => {
                    if absent.state == State::Removed {
                        self.farm.insert(host.clone(), absent.record.clone());
                        decision.changed.push(host.clone());
                    }
                    absent.state = State::Held { until };
                    decision.held += 1;
                    self.held += 1;
                }
                State::Undecided => {
                    absent.state = State::Removed;
                    self.farm.remove(host.as_str());
                    decision.changed.push(host.clone());
                }
                State::Held { until } if until <= now => {
                    absent.state = State::Expired;
                    self.farm.remove(host.as_str());
                    decision.changed.push(host.clone());
                    decision.expired += 1;
                    self.held -= 1;
                }
                State::Removed | State::Held { .. } | State::Expired => {}
            }
        }
        self.absent.retain(|_, absent| match absent.state {
            State::Removed | State::Expired => is_recent(absent.left_at),
            State::Undecided | State::Held { .. } => true,
        });
        decision
    }

    /// The start of the drop: the earliest time since which too large a share has gone of
    /// the hosts that were there just before it.
    fn drop_start(&self) -> Option<Instant> {
        let is_there = |host: &HostName| !self.absent.contains_key(host);
        // Goes back in time: a host that went was there before, one that came was not.
        let mut hosts = self.farm.iter().filter(|(host, _)| is_there(host)).count();
        let mut gone = 0_usize;
        let mut start = None;
        for Change { at, host, is_arrival } in self.changes.iter().rev() {
            let is_gone = usize::from(!is_there(host));
            if *is_arrival {
                hosts = hosts.saturating_sub(1);
                gone = gone.saturating_sub(is_gone);
            } else {
                hosts += 1;
                gone += is_gone;
            }
            if self.policy.is_drop(gone, hosts) {
                start = Some(*at);
            }
        }
        start
    }
}
