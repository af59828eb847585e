//! When the file is written, and with what.
//!
//! A pure machine between the farm view and the file: it is told what changed in the
//! farm and when, and says what to store.
//!
//! **Invariant.** What is stored is a farm that was known to be complete at that
//! moment, but for hosts that left less than a short while ago: those stay with
//! their last record, because one that only registers anew is back by then. While
//! one farm is being stored, which can take long when a check has a say in it, no
//! other one is.

mod shown;
#[cfg(test)]
mod tests;

use farm_core::engine::{Debounce, Retry, Wait};
use farm_core::model::{Farm, Filter, HostName};
use shown::Shown;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// This host came, went or has another record.
    Changed(HostName),
    /// The farm is known to be complete.
    Complete,
    /// The farm is not known any more: no contact, no such farm, or it is being read anew.
    Unknown,
    /// Somebody wants the file written again, whatever we believe is in it.
    Refresh,
    /// The store has done it: the file has other bytes now, or had these already.
    Stored {
        /// Were other bytes written?
        is_written: bool,
    },
    /// The store has failed.
    Failed,
    /// The check has nothing against what is being stored, which waits for its place.
    Passed,
    /// The check wants what was being stored nowhere.
    Refused,
    /// The deadline has passed.
    Tick,
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Put this farm into the file, and tell what came of it.
    Store(Arc<Farm>),
    /// Put what has passed the check into the file, and tell what came of it.
    Install,
    /// What has passed the check is not wanted any more.
    Discard,
    /// The file has this farm for the first time.
    Begin(Arc<Farm>),
    /// The file was changed, and has this farm now.
    Announce(Arc<Farm>),
    /// The store fails from now on: say so.
    ReportFailing,
    /// The store works again: say so.
    ReportRecovered,
    /// The farm has too few hosts to be stored, and had enough before: say so.
    ReportTooFew {
        /// How many there are.
        count: usize,
    },
    /// There are enough hosts again: say so.
    ReportEnough,
}

/// Why the file does not follow the farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It can't be written.
    Failing,
    /// The check wants it otherwise.
    Refused,
    /// The farm has so few hosts.
    TooFew(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is stored, and the farm is not known.
    Cold,
    /// The file follows the farm.
    Live,
    /// The file stays as it is until the farm is known again.
    Stale,
}

/// What is on its way to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PendingStore {
    Nothing,
    /// This farm, and the answer is to come.
    Pending(Arc<Farm>),
    /// This farm, which passed the check when the file had to stay as it was.
    Passed(Arc<Farm>),
}

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Of how long a host must be gone `min` is the measure too.
    wait: Wait,
    state: State,
    shown: Shown,
    pending: PendingStore,
    /// What changed while an answer is to come.
    meanwhile: Debounce,
    /// What the check refused last.
    refused: Option<Arc<Farm>>,
    is_refused: bool,
    /// Fewer hosts are never stored.
    hosts_min: usize,
    /// How many hosts the farm has, while these are too few to be stored.
    withheld: Option<usize>,
    /// The changes that are not in the file yet.
    burst: Debounce,
    last_change: Option<Instant>,
    is_forced: bool,
    failing: Option<Retry>,
}

impl Mirror {
    pub(crate) const fn new(wait: Wait, filter: Option<Filter>, hosts_min: usize) -> Self {
        Self {
            wait,
            state: State::Cold,
            shown: Shown::new(filter, wait.min),
            pending: PendingStore::Nothing,
            meanwhile: Debounce::new(wait),
            refused: None,
            is_refused: false,
            hosts_min,
            withheld: None,
            burst: Debounce::new(wait),
            last_change: None,
            is_forced: false,
            failing: None,
        }
    }

    /// Has the file been stored at least once?
    pub(crate) const fn is_begun(&self) -> bool {
        self.shown.is_begun()
    }

    /// Does the file show all that is known?
    pub(crate) fn is_current(&self) -> bool {
        self.state == State::Live && self.is_begun() && self.trouble().is_none()
    }

    /// Fewer hosts are never stored.
    pub(crate) const fn hosts_min(&self) -> usize {
        self.hosts_min
    }

    /// Does the file follow the farm now?
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// What keeps the file from following the farm, if it is not ZooKeeper.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let failing = self.failing.as_ref().map(|_| Trouble::Failing);
        let refused = self.is_refused.then_some(Trouble::Refused);
        failing.or(refused).or_else(|| self.withheld.map(Trouble::TooFew))
    }

    const fn is_pending(&self) -> bool {
        matches!(self.pending, PendingStore::Pending(_))
    }

    /// How many hosts the file has.
    pub(crate) fn count(&self) -> usize {
        self.shown.count()
    }

    /// When [`Event::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.state != State::Live || self.is_pending() {
            return None;
        }
        if let Some(failing) = &self.failing {
            return failing.deadline();
        }
        let due = self.burst.deadline()?;
        // Until there is a file at all, whatever changes may make it possible.
        if self.shown.has_other() || !self.is_begun() {
            return Some(due);
        }
        // Nothing but hosts that left: before the first of them is gone for long
        // enough, the file would not change.
        self.shown.left().map(|(first, _)| (first + self.wait.min).max(due))
    }

    /// Takes one event; `farm` is the farm as it is now.
    pub(crate) fn step(&mut self, now: Instant, event: &Event, farm: &Farm) -> Vec<Action> {
        let had_passed = matches!(self.pending, PendingStore::Passed(_));
        let mut actions = self.react(now, event, farm);
        // What was kept out of the file may be gone by itself.
        let is_equal = self.state == State::Live && self.is_begun() && self.shown.is_equal();
        if is_equal && !self.is_pending() {
            self.pending = PendingStore::Nothing;
            self.is_refused = false;
            actions.extend(self.withheld.take().map(|_| Action::ReportEnough));
        }
        if had_passed && self.pending == PendingStore::Nothing {
            actions.push(Action::Discard);
        }
        actions
    }

    fn react(&mut self, now: Instant, event: &Event, farm: &Farm) -> Vec<Action> {
        match (self.state, event) {
            (State::Live, Event::Changed(host)) => self.changed(now, host, farm),
            // All hosts are compared when the farm is known again.
            (State::Cold | State::Stale, Event::Changed(_)) => Vec::new(),
            (State::Cold | State::Live | State::Stale, Event::Complete) => self.complete(now, farm),
            (State::Cold, Event::Unknown) => Vec::new(),
            (State::Live | State::Stale, Event::Unknown) => {
                self.state = if self.is_begun() { State::Stale } else { State::Cold };
                Vec::new()
            }
            (State::Cold | State::Live | State::Stale, Event::Refresh) => {
                // The farm view reads everything again, and then the farm is complete again.
                self.is_forced = true;
                Vec::new()
            }
            (State::Cold | State::Live | State::Stale, Event::Stored { is_written }) => {
                self.stored(now, *is_written, farm)
            }
            (State::Cold | State::Live | State::Stale, Event::Failed) => self.failed(now, farm),
            (State::Cold | State::Live | State::Stale, Event::Refused) => self.refuse(now, farm),
            (State::Live, Event::Passed) => vec![Action::Install],
            (State::Cold | State::Stale, Event::Passed) => {
                if let PendingStore::Pending(farm) =
                    std::mem::replace(&mut self.pending, PendingStore::Nothing)
                {
                    self.pending = PendingStore::Passed(farm);
                }
                Vec::new()
            }
            (State::Live, Event::Tick) if self.deadline().is_some_and(|due| due <= now) => {
                self.store(now, farm)
            }
            (State::Cold | State::Live | State::Stale, Event::Tick) => Vec::new(),
        }
    }

    fn changed(&mut self, now: Instant, host: &HostName, farm: &Farm) -> Vec<Action> {
        let was_quiet = self.last_change.is_none_or(|last| now >= last + self.wait.min);
        let differs = self.shown.compare(now, host, farm);
        if self.shown.is_equal() {
            self.burst.clear();
        }
        if self.is_pending() {
            self.note_meanwhile(now);
            return Vec::new();
        }
        // A host that is again as the file has it changes what could not become one, as any
        // change does without a file.
        let is_kept_out = self.is_refused || self.withheld.is_some();
        if !differs && self.is_begun() && (!is_kept_out || self.shown.is_equal()) {
            return Vec::new();
        }
        self.last_change = Some(now);
        self.burst.changed(now);
        if was_quiet && !self.shown.is_leaving(host) && self.failing.is_none() {
            return self.store(now, farm);
        }
        Vec::new()
    }

    fn note_meanwhile(&mut self, now: Instant) {
        self.last_change = Some(now);
        self.meanwhile.changed(now);
    }

    fn complete(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        self.state = State::Live;
        if self.is_pending() {
            self.note_meanwhile(now);
            return Vec::new();
        }
        if !self.is_begun() {
            return self.store(now, farm);
        }
        self.burst.clear();
        let has_other = self.shown.compare_all(now, farm);
        if !self.shown.is_equal() {
            self.burst.changed(now);
            self.last_change = Some(now);
        }
        if self.is_forced || (has_other && self.failing.is_none()) {
            return self.store(now, farm);
        }
        Vec::new()
    }

    fn store(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        let is_forced = std::mem::take(&mut self.is_forced);
        let offered = self.shown.wanted(now, farm);
        self.burst.clear();
        let count = offered.len();
        if count < self.hosts_min {
            self.pending = PendingStore::Nothing;
            self.failing = None;
            let is_news = self.withheld.replace(count).is_none();
            return if is_news { vec![Action::ReportTooFew { count }] } else { Vec::new() };
        }
        let mut actions: Vec<_> =
            self.withheld.take().map(|_| Action::ReportEnough).into_iter().collect();
        let offered = Arc::new(offered);
        if !is_forced && self.refused.as_ref() == Some(&offered) {
            self.pending = PendingStore::Nothing;
            self.failing = None;
            self.is_refused = true;
            return actions;
        }
        let has_passed = self.pending == PendingStore::Passed(Arc::clone(&offered));
        self.pending = PendingStore::Pending(Arc::clone(&offered));
        actions.push(if has_passed { Action::Install } else { Action::Store(offered) });
        actions
    }

    fn take_pending(&mut self) -> Option<Arc<Farm>> {
        match std::mem::replace(&mut self.pending, PendingStore::Nothing) {
            PendingStore::Pending(farm) => Some(farm),
            PendingStore::Nothing | PendingStore::Passed(_) => None,
        }
    }

    /// Looks again after an answer: much may have changed while it was to come.
    fn catch_up(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        let meanwhile = self.meanwhile;
        self.meanwhile.clear();
        if meanwhile.is_empty() || self.state != State::Live {
            return Vec::new();
        }
        self.shown.compare_all(now, farm);
        if self.is_forced {
            return self.store(now, farm);
        }
        if self.shown.is_equal() && self.is_begun() {
            self.burst.clear();
        } else {
            self.burst = meanwhile;
        }
        Vec::new()
    }

    fn stored(&mut self, now: Instant, is_written: bool, farm: &Farm) -> Vec<Action> {
        let Some(stored) = self.take_pending() else { return Vec::new() };
        let is_first = self.shown.stored(Arc::clone(&stored));
        self.burst.clear();
        if let Some((first, last)) = self.shown.left() {
            self.burst.changed(first);
            self.burst.changed(last);
        }
        self.refused = None;
        self.is_refused = false;
        let mut actions = self.relax();
        if is_first {
            actions.push(Action::Begin(stored));
        } else if is_written {
            actions.push(Action::Announce(stored));
        }
        actions.extend(self.catch_up(now, farm));
        actions
    }

    fn relax(&mut self) -> Vec<Action> {
        self.failing.take().map(|_| Action::ReportRecovered).into_iter().collect()
    }

    fn refuse(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        let Some(refused) = self.take_pending() else { return Vec::new() };
        self.refused = Some(refused);
        self.is_refused = true;
        // It could be written, or there would have been nothing to check.
        let mut actions = self.relax();
        actions.extend(self.catch_up(now, farm));
        actions
    }

    fn failed(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        self.pending = PendingStore::Nothing;
        let is_first = self.failing.is_none();
        self.failing.get_or_insert_with(|| Retry::new(RETRY_LEAST, RETRY_MOST)).failed(now);
        let mut actions = self.catch_up(now, farm);
        if is_first {
            actions.push(Action::ReportFailing);
        }
        actions
    }
}
