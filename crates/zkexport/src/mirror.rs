//! Decides when to write the file, and with which hosts.
//!
//! A pure state machine between the farm view and the file: events report what changed
//! in the farm, and actions say what to store.
//!
//! **Invariant.** Only a complete farm is stored, with one addition: hosts that left
//! less than [`Wait::min`] ago stay with their last record, because a host that only
//! registers again is back by then. A farm that has hosts, but not one with a record, is
//! never stored: it would look like a farm without hosts. Only one farm is stored at a
//! time, which can take long with a check.

mod file_state;
#[cfg(test)]
mod tests;

use crate::view::View;
use farm_core::engine::{Debounce, Retry, Wait};
use farm_core::model::{Farm, HostName};
use file_state::FileState;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(500);
/// A disk that has room again is used within this time.
const RETRY_MOST: Duration = Duration::from_secs(10);

/// What happens to the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// This host came, went or has another record.
    Changed(HostName),
    /// How many hosts of the farm can't be read now.
    Unreadable(usize),
    /// The farm is complete: every host has been read.
    Complete,
    /// The farm is not complete: ZooKeeper is away, the farm is missing or is read again.
    Unknown,
    /// The file is to be written again, even if nothing has changed.
    Refresh,
    /// The store has succeeded.
    Stored {
        /// Whether the bytes of the file have changed.
        is_written: bool,
    },
    /// The store has failed.
    Failed,
    /// The check accepts the staged farm, which is not installed yet.
    Passed,
    /// The check refuses the staged farm.
    Refused,
    /// The mirror's deadline has passed.
    Tick,
}

/// What the mirror wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Store this farm in the file; the outcome is an event.
    Store(Arc<Farm>),
    /// Install the staged farm that has passed the check; the outcome is an event.
    Install,
    /// Remove the staged farm that has passed the check.
    Discard,
    /// The file is stored for the first time, with this farm.
    AnnounceStart(Arc<Farm>),
    /// The file has changed, and holds this farm now.
    AnnounceChange(Arc<Farm>),
    /// Log that stores fail from now on.
    ReportFailing,
    /// Log that stores succeed again.
    ReportRecovered,
    /// Log that the farm has too few hosts now.
    ReportTooFew {
        /// How many hosts it has.
        count: usize,
    },
    /// Log that the farm has enough hosts again.
    ReportEnough,
    /// Log that the farm has hosts now, but not one with a record.
    ReportNoRecord {
        /// How many hosts it has.
        count: usize,
    },
    /// Log that the farm has records again, or no hosts.
    ReportRecords,
}

/// Why the file does not follow the farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BehindReason {
    WriteFails,
    CheckRefused,
    Withheld(Withheld),
}

/// Why a farm is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Withheld {
    /// It has only this many hosts.
    TooFewHosts(usize),
    /// It has this many hosts, and not one of them has a record.
    NoRecord(usize),
}

impl Withheld {
    const fn report(self) -> Action {
        match self {
            Self::TooFewHosts(count) => Action::ReportTooFew { count },
            Self::NoRecord(count) => Action::ReportNoRecord { count },
        }
    }

    const fn report_end(self) -> Action {
        match self {
            Self::TooFewHosts(_) => Action::ReportEnough,
            Self::NoRecord(_) => Action::ReportRecords,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is stored, and the farm is not complete.
    Cold,
    /// The file follows the farm.
    Live,
    /// The file stays as it is until the farm is complete again.
    Stale,
}

/// The store in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PendingStore {
    Nothing,
    /// This farm is being checked or stored.
    Pending(Arc<Farm>),
    /// This farm passed the check while the farm was not complete, and is not installed yet.
    Passed(Arc<Farm>),
}

/// The state machine; see the module documentation.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// `min` is also how long a host must be gone before it leaves the file.
    wait: Wait,
    state: State,
    file: FileState,
    pending: PendingStore,
    /// The changes during the pending store.
    meanwhile: Debounce,
    /// The farm that the check refused last.
    refused: Option<Arc<Farm>>,
    /// Whether the check refused the latest farm that was to be stored.
    is_refused: bool,
    /// A farm with fewer hosts is never stored.
    hosts_min: usize,
    /// How many hosts can't be read.
    unreadable: usize,
    /// Why the farm is not stored, if that is so.
    withheld: Option<Withheld>,
    /// The changes that are not in the file yet.
    burst: Debounce,
    last_change: Option<Instant>,
    is_forced: bool,
    failing: Option<Retry>,
}

impl Mirror {
    pub(crate) const fn new(wait: Wait, view: View, hosts_min: usize) -> Self {
        Self {
            wait,
            state: State::Cold,
            file: FileState::new(view, wait.min),
            pending: PendingStore::Nothing,
            meanwhile: Debounce::new(wait),
            refused: None,
            is_refused: false,
            hosts_min,
            unreadable: 0,
            withheld: None,
            burst: Debounce::new(wait),
            last_change: None,
            is_forced: false,
            failing: None,
        }
    }

    /// Whether the file has been stored at least once.
    pub(crate) const fn is_stored(&self) -> bool {
        self.file.is_stored()
    }

    /// Whether the file follows the farm and is up to date.
    pub(crate) fn is_current(&self) -> bool {
        self.state == State::Live && self.is_stored() && self.behind_reason().is_none()
    }

    /// A farm with fewer hosts is never stored.
    pub(crate) const fn hosts_min(&self) -> usize {
        self.hosts_min
    }

    /// Whether the file follows the farm.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.state, State::Live)
    }

    /// Why the file does not follow a farm that is complete.
    pub(crate) fn behind_reason(&self) -> Option<BehindReason> {
        let failing = self.failing.as_ref().map(|_| BehindReason::WriteFails);
        let refused = self.is_refused.then_some(BehindReason::CheckRefused);
        failing.or(refused).or_else(|| self.withheld.map(BehindReason::Withheld))
    }

    const fn is_pending(&self) -> bool {
        matches!(self.pending, PendingStore::Pending(_))
    }

    /// How many hosts are in the file.
    pub(crate) fn host_count(&self) -> usize {
        self.file.host_count()
    }

    /// How many hosts can't be read, according to the latest [`Event::Unreadable`].
    pub(crate) const fn unreadable_count(&self) -> usize {
        self.unreadable
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
        // Until there is a first file, any change may make it possible.
        if self.file.differs_besides_leaving() || !self.is_stored() {
            return Some(due);
        }
        // Only hosts have left: the file does not change before the first of them has been
        // gone for long enough.
        self.file.leaving_times().map(|(first, _)| (first + self.wait.min).max(due))
    }

    /// Takes one event; `farm` is the farm as it is now.
    pub(crate) fn step(&mut self, now: Instant, event: &Event, farm: &Farm) -> Vec<Action> {
        let had_passed = matches!(self.pending, PendingStore::Passed(_));
        let mut actions = self.react(now, event, farm);
        // The farm may be as in the file again, without a store.
        let is_equal = self.state == State::Live && self.is_stored() && self.file.is_equal();
        if is_equal && !self.is_pending() {
            self.pending = PendingStore::Nothing;
            self.is_refused = false;
            actions.extend(self.withheld.take().map(Withheld::report_end));
        }
        if had_passed && self.pending == PendingStore::Nothing {
            actions.push(Action::Discard);
        }
        actions
    }

    fn react(&mut self, now: Instant, event: &Event, farm: &Farm) -> Vec<Action> {
        match (self.state, event) {
            (State::Live, Event::Changed(host)) => self.changed(now, host, farm),
            // All hosts are compared when the farm is complete again.
            (State::Cold | State::Stale, Event::Changed(_)) => Vec::new(),
            (State::Cold | State::Live | State::Stale, Event::Unreadable(hosts)) => {
                self.unreadable(now, *hosts);
                Vec::new()
            }
            (State::Cold | State::Live | State::Stale, Event::Complete) => self.complete(now, farm),
            (State::Cold, Event::Unknown) => Vec::new(),
            (State::Live | State::Stale, Event::Unknown) => {
                self.state = if self.is_stored() { State::Stale } else { State::Cold };
                Vec::new()
            }
            (State::Cold | State::Live | State::Stale, Event::Refresh) => {
                // The farm view reads everything again, and `Complete` follows.
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
        let differs = self.file.compare(now, host, farm);
        if self.file.is_equal() {
            self.burst.clear();
        }
        if self.is_pending() {
            self.note_meanwhile(now);
            return Vec::new();
        }
        // While the farm is refused or withheld, a host that is again as in the file makes
        // another farm to store, too.
        let is_kept_out = self.is_refused || self.withheld.is_some();
        if !differs && self.is_stored() && (!is_kept_out || self.file.is_equal()) {
            return Vec::new();
        }
        self.last_change = Some(now);
        self.burst.changed(now);
        if was_quiet && !self.file.is_leaving(host) && self.failing.is_none() {
            return self.store(now, farm);
        }
        Vec::new()
    }

    fn unreadable(&mut self, now: Instant, hosts: usize) {
        self.unreadable = hosts;
        let Some(Withheld::NoRecord(count)) = &mut self.withheld else { return };
        *count = hosts;
        // That a host without a record leaves is no change of the farm.
        if hosts == 0 && self.state == State::Live {
            self.burst.changed(now);
        }
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
        if !self.is_stored() {
            return self.store(now, farm);
        }
        self.burst.clear();
        let differs = self.file.compare_all(now, farm);
        if !self.file.is_equal() {
            self.burst.changed(now);
            self.last_change = Some(now);
        }
        if self.is_forced || (differs && self.failing.is_none()) {
            return self.store(now, farm);
        }
        Vec::new()
    }

    fn store(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        let is_forced = std::mem::take(&mut self.is_forced);
        let wanted = self.file.wanted(now, farm);
        self.burst.clear();
        if let Some(reason) = self.withheld_reason(wanted.len(), farm) {
            self.pending = PendingStore::Nothing;
            self.failing = None;
            let before = self.withheld.replace(reason);
            let is_known = before.is_some_and(|it| discriminant(&it) == discriminant(&reason));
            return if is_known { Vec::new() } else { vec![reason.report()] };
        }
        let mut actions: Vec<_> =
            self.withheld.take().map(Withheld::report_end).into_iter().collect();
        let wanted = Arc::new(wanted);
        if !is_forced && self.refused.as_ref() == Some(&wanted) {
            self.pending = PendingStore::Nothing;
            self.failing = None;
            self.is_refused = true;
            return actions;
        }
        let has_passed = self.pending == PendingStore::Passed(Arc::clone(&wanted));
        self.pending = PendingStore::Pending(Arc::clone(&wanted));
        actions.push(if has_passed { Action::Install } else { Action::Store(wanted) });
        actions
    }

    /// Why this farm is not stored, with that many hosts in the file, if that is so.
    fn withheld_reason(&self, count: usize, farm: &Farm) -> Option<Withheld> {
        // Before the filter: one that keeps no host is obeyed.
        if farm.is_empty() && self.unreadable > 0 {
            return Some(Withheld::NoRecord(self.unreadable));
        }
        (count < self.hosts_min).then_some(Withheld::TooFewHosts(count))
    }

    fn take_pending(&mut self) -> Option<Arc<Farm>> {
        match std::mem::replace(&mut self.pending, PendingStore::Nothing) {
            PendingStore::Pending(farm) => Some(farm),
            PendingStore::Nothing | PendingStore::Passed(_) => None,
        }
    }

    /// Takes in the changes during the store that has just ended.
    fn catch_up(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        let meanwhile = self.meanwhile;
        self.meanwhile.clear();
        if meanwhile.is_empty() || self.state != State::Live {
            return Vec::new();
        }
        self.file.compare_all(now, farm);
        if self.is_forced {
            return self.store(now, farm);
        }
        if self.file.is_equal() && self.is_stored() {
            self.burst.clear();
        } else {
            self.burst = meanwhile;
        }
        Vec::new()
    }

    fn stored(&mut self, now: Instant, is_written: bool, farm: &Farm) -> Vec<Action> {
        let Some(stored) = self.take_pending() else { return Vec::new() };
        let is_first = self.file.stored(Arc::clone(&stored));
        self.burst.clear();
        if let Some((first, last)) = self.file.leaving_times() {
            self.burst.changed(first);
            self.burst.changed(last);
        }
        self.refused = None;
        self.is_refused = false;
        let mut actions = self.recover();
        if is_first {
            actions.push(Action::AnnounceStart(stored));
        } else if is_written {
            actions.push(Action::AnnounceChange(stored));
        }
        actions.extend(self.catch_up(now, farm));
        actions
    }

    fn recover(&mut self) -> Vec<Action> {
        self.failing.take().map(|_| Action::ReportRecovered).into_iter().collect()
    }

    fn refuse(&mut self, now: Instant, farm: &Farm) -> Vec<Action> {
        let Some(refused) = self.take_pending() else { return Vec::new() };
        self.refused = Some(refused);
        self.is_refused = true;
        // The staged file was written, so stores work again.
        let mut actions = self.recover();
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
