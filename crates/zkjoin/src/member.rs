//! The two-way sync of this host's config and its znode, as a pure state machine.
//!
//! Events report changes on either side, and actions say what to do. The machine keeps
//! three records: the config (`local`), the znode (`remote`), and the one that both
//! sides last agreed on, field by field. The next step follows from these three alone,
//! so outages, failed writes and bursts of edits need no cases of their own.
//!
//! **Invariant.** At most one request to ZooKeeper is in flight, and its outcome or
//! the loss of the connection always arrives. A hint is never dropped: it causes a
//! read, after the request that is in flight.

mod event;
mod requests;

pub(crate) use event::{Action, Conf, Event, MemberOptions, Remote};

use farm_core::engine::Retry;
use farm_core::model::{Conflict, FieldPath, Record, Value, merge, merge_base};
use requests::{Request, Requests};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);
/// A disk that has room again is used within this time.
const STORE_RETRY_MOST: Duration = Duration::from_secs(10);

/// The field that holds the host's name.
pub(crate) const HOSTNAME: &str = "hostname";

/// Who owns the znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    /// Nobody, or not us: we claim it.
    Unclaimed,
    /// Another owner, or nobody and we have nothing to create it with: we wait for a
    /// hint.
    Waiting,
    /// Us, as far as we know.
    Ours,
}

/// The state machine; see the module documentation.
#[derive(Debug)]
pub(crate) struct Member {
    options: MemberOptions,
    conf: Option<Conf>,
    /// Whether the config has ever existed.
    had_conf: bool,
    remote: Option<Remote>,
    /// The record that both sides agreed on, field by field; with one-way, the record
    /// that was published last.
    agreed: Option<Record>,
    ownership: Ownership,
    requests: Requests,
    /// The config at the time of the latest write to the znode, whose outcome may be
    /// unknown. Where the znode holds the same value, both sides agreed on it, even if
    /// the config was edited since.
    offered: Option<Record>,
    /// The record that was last written to the config.
    storing: Option<Record>,
    /// The conflicts that were logged last, so that a retry does not log them again.
    logged: Vec<Conflict>,
    store_retry: Retry,
}

impl Member {
    pub(crate) fn new(options: MemberOptions) -> Self {
        Self {
            options,
            conf: None,
            had_conf: false,
            remote: None,
            agreed: None,
            ownership: Ownership::Unclaimed,
            requests: Requests::new(Retry::new(RETRY_LEAST, RETRY_MOST)),
            offered: None,
            storing: None,
            logged: Vec::new(),
            store_retry: Retry::new(RETRY_LEAST, STORE_RETRY_MOST),
        }
    }

    /// Whether our znode exists, as far as we know.
    pub(crate) fn is_joined(&self) -> bool {
        self.ownership == Ownership::Ours
    }

    /// When to retry what has failed.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.requests.deadline(), self.store_retry.deadline()].into_iter().flatten().min()
    }

    /// Takes one event and returns what to do.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.requests.retry.take(now);
        self.store_retry.take(now);
        self.apply(now, event, &mut actions);
        self.adopt_common(&mut actions);
        self.update_agreed();
        if let Some(store) = self.next_store() {
            actions.extend(store);
        }
        if self.requests.may_begin() {
            actions.extend(self.next_request());
        }
        actions
    }

    fn apply(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Connected => {
                self.requests.connected();
                self.stop_waiting();
            }
            Event::Disconnected => self.requests.disconnected(),
            Event::Hint => {
                self.requests.is_read_due = true;
                self.stop_waiting();
            }
            Event::Conf(conf) => {
                self.had_conf |= conf != Conf::Missing;
                self.conf = Some(conf);
                self.store_retry.reset();
                if self.options.is_common {
                    self.stop_waiting();
                }
            }
            Event::Claimed { remote, overruled } => self.claimed(remote, overruled, actions),
            Event::Read(remote) => {
                self.requests.finish();
                let is_new = self.ownership != Ownership::Ours;
                match self.requests.unconfirmed.take() {
                    Some(record) if !self.options.is_common => self.became_ours(record, actions),
                    _ if is_new => {
                        self.ownership = Ownership::Ours;
                        actions.push(Action::ReportJoined);
                    }
                    _ => {}
                }
                self.set_remote(remote);
            }
            Event::Gone => {
                self.requests.finish();
                self.requests.unconfirmed = None;
                // Without a good config we create no common znode: the next host to join
                // would adopt an empty record.
                let has_nothing = self.options.is_common && self.merged().is_none();
                self.ownership =
                    if has_nothing { Ownership::Waiting } else { Ownership::Unclaimed };
            }
            Event::Published { version } => {
                if let Some(Request::Publish(record)) = self.requests.finish() {
                    self.set_remote(Remote { record: Some(record), version });
                    self.requests.rejected = None;
                }
            }
            Event::BadVersion => {
                self.requests.finish();
                self.requests.is_read_due = true;
            }
            Event::Interrupted => self.requests.interrupt(),
            Event::Refused { is_final } => self.requests.refused(now, is_final),
            Event::Taken => {
                self.requests.finish();
                self.requests.unconfirmed = None;
                self.ownership = Ownership::Waiting;
            }
            Event::Stored(conf) => {
                let is_done =
                    matches!((&conf, &self.storing), (Conf::Good(is), Some(was)) if is == was);
                self.had_conf = true;
                if let Some(stored) = self.storing.take().map(Conf::Good) {
                    self.rebase_offer(&stored);
                    self.conf = Some(stored);
                    // Any difference from it is an edit by somebody who saw it.
                    self.update_agreed();
                }
                self.conf = Some(conf);
                // A config that does not keep what was written must not be rewritten for ever.
                if is_done { self.store_retry.reset() } else { self.store_retry.failed(now) }
            }
            Event::StoreFailed => self.store_retry.failed(now),
            Event::Tick => {}
        }
    }

    fn claimed(&mut self, remote: Remote, overruled: Option<Record>, actions: &mut Vec<Action>) {
        let Some(Request::Claim(record)) = self.requests.finish() else { return };
        if self.agreed.is_none()
            && let Some(overruled) = overruled
        {
            let swap_sides = |Conflict { field, local, remote }| Conflict {
                field,
                local: remote,
                remote: local,
            };
            let lost: Vec<Conflict> =
                lost_fields(&overruled, &record).into_iter().map(swap_sides).collect();
            if !lost.is_empty() {
                actions.push(Action::ReportOverruled(lost));
            }
        }
        self.became_ours(record.clone(), actions);
        self.set_remote(Remote { record: Some(record), version: remote.version });
        self.remote = Some(remote);
    }

    /// The znode is ours, with that record.
    fn became_ours(&mut self, record: Record, actions: &mut Vec<Action>) {
        self.ownership = Ownership::Ours;
        if self.options.is_one_way {
            self.agreed = Some(record);
        } else {
            // At start, this record is the merge base. Later, the base is what both sides
            // agreed on before the znode was lost.
            self.agreed.get_or_insert(record);
        }
        actions.push(Action::ReportJoined);
    }

    /// Something changed: the znode may be free now.
    fn stop_waiting(&mut self) {
        if self.ownership == Ownership::Waiting {
            self.ownership = Ownership::Unclaimed;
        }
    }

    /// The znode holds this: where it equals our offer, both sides agree.
    fn set_remote(&mut self, remote: Remote) {
        if let (Some(offered), Some(record)) = (self.offered.take(), &remote.record) {
            if self.options.is_one_way {
                if offered == *record {
                    self.agreed = Some(offered);
                }
            } else if let Some(agreed) = &self.agreed {
                self.agreed = Some(merge_base(agreed, &offered, record));
            }
        }
        self.remote = Some(remote);
    }

    /// At start, the common record replaces the config as a whole.
    fn adopt_common(&mut self, actions: &mut Vec<Action>) {
        if !self.options.is_common || self.options.is_one_way || self.agreed.is_some() {
            return;
        }
        let (Some(Conf::Good(_) | Conf::Missing), Some(local), Some(record)) =
            (&self.conf, self.local(), self.remote_record())
        else {
            return;
        };
        let lost = lost_fields(&local, record);
        if !lost.is_empty() {
            actions.push(Action::ReportConflicts(lost));
        }
        // So the merge sees changes on the remote side only.
        self.agreed = Some(local);
    }

    /// Remote changes that were stored in the config are not part of our offer, which
    /// may still be accepted: applies them to the offer too.
    fn rebase_offer(&mut self, conf: &Conf) {
        if let (Some(Conf::Good(before)), Conf::Good(after), Some(offered)) =
            (&self.conf, conf, &self.offered)
        {
            self.offered = Some(merge(before, offered, after).record);
        }
    }

    /// The local side of the merge: a config that is missing or bad changes nothing.
    fn local(&self) -> Option<Record> {
        let record = match self.conf.as_ref()? {
            Conf::Good(record) => record.clone(),
            Conf::Missing | Conf::Bad => self.agreed.clone().unwrap_or_default(),
        };
        Some(self.with_hostname(record))
    }

    fn with_hostname(&self, record: Record) -> Record {
        let Some(hostname) = &self.options.hostname else { return record };
        let mut map = record.into_map();
        map.insert(HOSTNAME.to_owned(), Value::String(hostname.clone()));
        Record::from_map(map)
    }

    fn remote_record(&self) -> Option<&Record> {
        self.remote.as_ref()?.record.as_ref()
    }

    /// The record that both sides should hold, and the local edits that it loses.
    fn merged(&self) -> Option<(Record, Vec<Conflict>)> {
        let local = self.local()?;
        let Some(agreed) = self.agreed.as_ref().filter(|_| !self.options.is_one_way) else {
            let has_nothing = self.options.is_common && self.conf == Some(Conf::Bad);
            return (!has_nothing || self.agreed.is_some()).then_some((local, Vec::new()));
        };
        let merge = merge(agreed, &local, self.remote_record().unwrap_or(agreed));
        // Nobody else may change the hostname, so such an edit is no conflict.
        let record = self.with_hostname(merge.record);
        let is_name = |field: &FieldPath| field.keys().len() == 1 && field.keys()[0] == HOSTNAME;
        let is_lost =
            |conflict: &Conflict| !(self.options.hostname.is_some() && is_name(&conflict.field));
        Some((record, merge.conflicts.into_iter().filter(is_lost).collect()))
    }

    /// Moves each field that both sides hold alike into the agreed record.
    fn update_agreed(&mut self) {
        if self.options.is_one_way {
            return;
        }
        let (Some(agreed), Some(Conf::Good(_)), Some(remote)) =
            (&self.agreed, &self.conf, self.remote_record())
        else {
            return;
        };
        if let Some(local) = self.local() {
            self.agreed = Some(merge_base(agreed, &local, remote));
        }
    }

    fn next_store(&mut self) -> Option<Vec<Action>> {
        // Before the znode was ours once, there is no base to merge with.
        let agreed = self.agreed.as_ref()?;
        if self.options.is_one_way || self.store_retry.deadline().is_some() {
            return None;
        }
        let (record, conflicts) = self.merged()?;
        let is_wanted = match self.conf.as_ref()? {
            Conf::Good(local) => *local != record,
            Conf::Missing => !self.had_conf || record != *agreed,
            Conf::Bad => false,
        };
        if !is_wanted {
            return None;
        }
        self.storing = Some(record.clone());
        let mut actions = vec![Action::Store(record)];
        if conflicts != self.logged {
            self.logged.clone_from(&conflicts);
            if !conflicts.is_empty() {
                actions.insert(0, Action::ReportConflicts(conflicts));
            }
        }
        Some(actions)
    }

    fn next_request(&mut self) -> Option<Action> {
        let (action, request) = match self.ownership {
            Ownership::Waiting => return None,
            // The last claim may have succeeded.
            Ownership::Unclaimed if self.requests.unconfirmed.is_some() => {
                (Action::Read, Request::Read)
            }
            // With nothing to create the common znode with, only look for it.
            Ownership::Unclaimed if self.options.is_common && self.merged().is_none() => {
                (Action::Read, Request::Read)
            }
            Ownership::Unclaimed => {
                let (mut record, _) = self.merged()?;
                if self.requests.rejected.as_ref() == Some(&record) {
                    // The last good record is better than none.
                    record = self.agreed.clone().filter(|agreed| *agreed != record)?;
                }
                (Action::Claim(record.clone()), Request::Claim(record))
            }
            Ownership::Ours if self.requests.is_read_due || self.remote.is_none() => {
                (Action::Read, Request::Read)
            }
            Ownership::Ours => {
                let (record, _) = self.merged()?;
                let version = self.remote.as_ref()?.version;
                if !self.is_to_be_published(&record)
                    || self.requests.rejected.as_ref() == Some(&record)
                {
                    return None;
                }
                (Action::Publish { record: record.clone(), version }, Request::Publish(record))
            }
        };
        if request != Request::Read {
            self.offered = self.local();
        }
        self.requests.is_read_due = false;
        self.requests.in_flight = Some(request);
        Some(action)
    }

    fn is_to_be_published(&self, record: &Record) -> bool {
        let Some(remote) = self.remote_record() else {
            // We repair our own znode if it is malformed, but not the common one.
            return !self.options.is_common;
        };
        match (self.options.is_one_way, &self.agreed) {
            (true, published) => published.as_ref() != Some(record),
            (false, Some(_)) => record != remote,
            (false, None) => false,
        }
    }
}

/// The fields of `before` that `after` lacks or holds with another value.
fn lost_fields(before: &Record, after: &Record) -> Vec<Conflict> {
    let lost =
        before.leaves().into_iter().filter(|(field, value)| after.get(field) != Some(*value));
    lost.map(|(field, value)| {
        let remote = after.get(&field).cloned();
        Conflict { field, local: Some(value.clone()), remote }
    })
    .collect()
}

#[cfg(test)]
mod tests;
