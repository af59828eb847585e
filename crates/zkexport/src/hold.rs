//! Hosts that go all at once, and are not believed to be gone for a while.
//!
//! A pure machine between the farm view and the mirror. When much of a farm vanishes
//! in a moment, it is rather ZooKeeper, or the way to it, that had an accident, and
//! a file without those hosts would be the second one.
//!
//! **Invariant.** A host is shown without a znode only if it is undecided, which
//! ends with the next [`Hold::settle`], or held, which ends by its time.

#[cfg(test)]
mod tests;

use farm_core::model::{Farm, HostName, Record};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// What goes within this time goes at once.
const WINDOW: Duration = Duration::from_secs(10);
/// A single host may always go, however few there are.
const HOSTS_LEAST: usize = 2;

/// When hosts are held, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rule {
    /// How much of the farm must have gone, in percent.
    pub(crate) percent: f64,
    /// How long they are held at most.
    pub(crate) limit: Duration,
}

impl Rule {
    fn is_met(&self, gone: usize, hosts: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a farm has fewer than 2^52 hosts")]
        let is_share = gone as f64 * 100.0 >= self.percent * hosts as f64;
        gone >= HOSTS_LEAST && is_share
    }
}

/// A host came or went.
#[derive(Debug)]
struct Move {
    at: Instant,
    host: HostName,
    is_arrival: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// Its znode has just gone.
    Undecided,
    /// It is not shown, but may be yet if others follow it.
    Gone,
    /// It is shown, until then.
    Held { until: Instant },
    /// It was held, and never came back.
    Believed,
}

/// A host without a znode.
#[derive(Debug)]
struct Absent {
    at: Instant,
    /// The last one it had.
    record: Record,
    presence: Presence,
}

/// What [`Hold::settle`] has decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The hosts that are shown otherwise than before.
    pub(crate) changed: Vec<HostName>,
    /// How many are held from now on.
    pub(crate) held: usize,
    /// How many were held long enough.
    pub(crate) given_up: usize,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Hold {
    rule: Rule,
    /// Has the farm been known at all?
    is_known: bool,
    /// What is shown: the hosts that are there, and those that are held.
    farm: Farm,
    absent: BTreeMap<HostName, Absent>,
    /// How many of those are held.
    held: usize,
    /// Of the latest [`WINDOW`], by time.
    moves: VecDeque<Move>,
}

impl Hold {
    pub(crate) const fn new(rule: Rule) -> Self {
        Self {
            rule,
            is_known: false,
            farm: Farm::new(),
            absent: BTreeMap::new(),
            held: 0,
            moves: VecDeque::new(),
        }
    }

    /// The farm with the hosts that are held.
    pub(crate) const fn farm(&self) -> &Farm {
        &self.farm
    }

    /// How many hosts are held.
    pub(crate) const fn count(&self) -> usize {
        self.held
    }

    /// How long they are held at most.
    pub(crate) const fn limit(&self) -> Duration {
        self.rule.limit
    }

    /// When [`Hold::settle`] has something to decide.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |absent: &Absent| match absent.presence {
            Presence::Undecided => Some(absent.at),
            Presence::Held { until } => Some(until),
            Presence::Gone | Presence::Believed => None,
        };
        self.absent.values().filter_map(due).min()
    }

    /// Takes a host that came, went or has another record; tells whether it is
    /// shown otherwise than before.
    pub(crate) fn changed(&mut self, now: Instant, host: &HostName, farm: &Farm) -> bool {
        // Who was there before we were is not known to have come.
        if !self.is_known {
            return false;
        }
        match (farm.get(host.as_str()), self.absent.contains_key(host)) {
            (Some(record), was_absent) => {
                let was_there = !was_absent && self.farm.get(host.as_str()).is_some();
                if !was_there {
                    let absent = self.absent.remove(host);
                    let is_held =
                        |absent: &Absent| matches!(absent.presence, Presence::Held { .. });
                    self.held -= usize::from(absent.as_ref().is_some_and(is_held));
                    self.moves.push_back(Move { at: now, host: host.clone(), is_arrival: true });
                }
                self.farm.insert(host.clone(), record.clone()).as_ref() != Some(record)
            }
            (None, false) => {
                if let Some(record) = self.farm.get(host.as_str()).cloned() {
                    let presence = Presence::Undecided;
                    self.absent.insert(host.clone(), Absent { at: now, record, presence });
                    self.moves.push_back(Move { at: now, host: host.clone(), is_arrival: false });
                }
                false
            }
            (None, true) => false,
        }
    }

    /// Takes a farm that is known as a whole, and decides at once.
    pub(crate) fn complete(&mut self, now: Instant, farm: &Farm) -> Settled {
        if !self.is_known {
            self.is_known = true;
            self.farm = farm.clone();
            return Settled::default();
        }
        let shown: Vec<HostName> = self.farm.iter().map(|(name, _)| name.clone()).collect();
        let there = farm.iter().map(|(name, _)| name);
        for host in there.chain(&shown).collect::<BTreeSet<_>>() {
            self.changed(now, host, farm);
        }
        self.settle(now)
    }

    /// Decides about hosts that have gone, and gives up those that were held long enough.
    pub(crate) fn settle(&mut self, now: Instant) -> Settled {
        let mut settled = Settled::default();
        let is_recent = |at: Instant| now.saturating_duration_since(at) < WINDOW;
        while self.moves.front().is_some_and(|first| !is_recent(first.at)) {
            self.moves.pop_front();
        }
        let is_open = |absent: &Absent| absent.presence == Presence::Undecided;
        let since = if self.absent.values().any(is_open) { self.drop_since() } else { None };
        let until = now + self.rule.limit;
        for (host, absent) in &mut self.absent {
            let belongs = since.is_some_and(|since| since <= absent.at);
            match absent.presence {
                Presence::Undecided | Presence::Gone if belongs => {
                    if absent.presence == Presence::Gone {
                        self.farm.insert(host.clone(), absent.record.clone());
                        settled.changed.push(host.clone());
                    }
                    absent.presence = Presence::Held { until };
                    settled.held += 1;
                    self.held += 1;
                }
                Presence::Undecided => {
                    absent.presence = Presence::Gone;
                    self.farm.remove(host.as_str());
                    settled.changed.push(host.clone());
                }
                Presence::Held { until } if until <= now => {
                    absent.presence = Presence::Believed;
                    self.farm.remove(host.as_str());
                    settled.changed.push(host.clone());
                    settled.given_up += 1;
                    self.held -= 1;
                }
                Presence::Gone | Presence::Held { .. } | Presence::Believed => {}
            }
        }
        self.absent.retain(|_, absent| match absent.presence {
            Presence::Gone | Presence::Believed => is_recent(absent.at),
            Presence::Undecided | Presence::Held { .. } => true,
        });
        settled
    }

    /// The earliest moment since when too many have gone, counted against those who
    /// were there just before it.
    fn drop_since(&self) -> Option<Instant> {
        let is_there = |host: &HostName| !self.absent.contains_key(host);
        // Backwards in time: what went was there before, what came was not.
        let mut hosts = self.farm.iter().filter(|(host, _)| is_there(host)).count();
        let mut gone = 0_usize;
        let mut since = None;
        for Move { at, host, is_arrival } in self.moves.iter().rev() {
            let is_gone = usize::from(!is_there(host));
            if *is_arrival {
                hosts = hosts.saturating_sub(1);
                gone = gone.saturating_sub(is_gone);
            } else {
                hosts += 1;
                gone += is_gone;
            }
            if self.rule.is_met(gone, hosts) {
                since = Some(*at);
            }
        }
        since
    }
}
