//! The two-way sync of this host's config and its znode, as a pure machine.
//!
//! What is known of either side goes in as events; what has to be done comes out as
//! actions. There are three records: the config (`local`), the znode (`remote`), and
//! what both sides last agreed on, field by field. Whatever happened, the next step
//! follows from these three alone, so an outage, a crash of a write or a burst of
//! edits needs no case of its own.
//!
//! **Invariant.** At most one request to ZooKeeper is under way, and its outcome or
//! the loss of the link always arrives. A hint is never dropped: it makes us look
//! again, after the request that is under way.

mod event;
mod requests;

pub(crate) use event::{Action, Conf, Event, MemberOptions, Remote};

use farm_core::engine::Retry;
use farm_core::model::{Conflict, FieldPath, Record, Value, common_ground, merge};
use requests::{Request, Requests};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// The field that names the host.
pub(crate) const HOSTNAME: &str = "hostname";

/// Where the znode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    /// Not ours, or not there: to be claimed.
    Unclaimed,
    /// Somebody else's, or not to be created by us: a hint tells of a change.
    Waiting,
    /// Ours, as far as we know.
    Ours,
}

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Member {
    terms: MemberOptions,
    conf: Option<Conf>,
    /// Whether the config was ever there, or written by us.
    had_conf: bool,
    remote: Option<Remote>,
    /// What both sides agreed on, field by field; one-way, what was published last.
    agreed: Option<Record>,
    ownership: Ownership,
    requests: Requests,
    /// What the config said when the znode was last written, or maybe written: where
    /// the znode holds the same, both sides agreed, whatever was edited since.
    offered: Option<Record>,
    /// What the config was given last.
    storing: Option<Record>,
    /// The conflicts that were told last, so that a retry does not tell them again.
    logged: Vec<Conflict>,
    store_retry: Retry,
}

impl Member {
    pub(crate) fn new(terms: MemberOptions) -> Self {
        Self {
            terms,
            conf: None,
            had_conf: false,
            remote: None,
            agreed: None,
            ownership: Ownership::Unclaimed,
            requests: Requests::new(Retry::new(RETRY_LEAST, RETRY_MOST)),
            offered: None,
            storing: None,
            logged: Vec::new(),
            store_retry: Retry::new(RETRY_LEAST, RETRY_MOST),
        }
    }

    /// Whether the znode stands, as far as we know.
    pub(crate) fn is_joined(&self) -> bool {
        self.ownership == Ownership::Ours
    }

    /// When something that failed shall be tried again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.requests.deadline(), self.store_retry.deadline()].into_iter().flatten().min()
    }

    /// Takes in what happened and tells what to do.
    pub(crate) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        self.requests.retry.take(now);
        self.store_retry.take(now);
        self.note(now, event, &mut actions);
        self.yield_to_common(&mut actions);
        self.agree();
        if let Some(store) = self.next_store() {
            actions.extend(store);
        }
        if self.requests.may_begin() {
            actions.extend(self.next_request());
        }
        actions
    }

    fn note(&mut self, now: Instant, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Connected => {
                self.requests.connected();
                self.try_again();
            }
            Event::Disconnected => self.requests.disconnected(),
            Event::Hint => {
                self.requests.look_again = true;
                self.try_again();
            }
            Event::Conf(conf) => {
                self.had_conf |= conf != Conf::Missing;
                self.conf = Some(conf);
                self.store_retry.reset();
                if self.terms.is_common {
                    self.try_again();
                }
            }
            Event::Claimed { remote, overruled } => self.claimed(remote, overruled, actions),
            Event::Looked(remote) => {
                self.requests.finish();
                let is_new = self.ownership != Ownership::Ours;
                match self.requests.doubtful.take() {
                    Some(record) if !self.terms.is_common => self.stand(record, actions),
                    _ if is_new => {
                        self.ownership = Ownership::Ours;
                        actions.push(Action::TellJoined);
                    }
                    _ => {}
                }
                self.meet(remote);
            }
            Event::Gone => {
                self.requests.finish();
                self.requests.doubtful = None;
                // Nothing good to share: whoever joins next would take it for the truth.
                let is_empty_handed = self.terms.is_common && self.merged().is_none();
                self.ownership =
                    if is_empty_handed { Ownership::Waiting } else { Ownership::Unclaimed };
            }
            Event::Published { version } => {
                if let Some(Request::Publish(record)) = self.requests.finish() {
                    self.meet(Remote { record: Some(record), version });
                    self.requests.unfit = None;
                }
            }
            Event::Outrun => {
                self.requests.finish();
                self.requests.look_again = true;
            }
            Event::Interrupted => self.requests.interrupt(),
            Event::Refused { is_final } => self.requests.refused(now, is_final),
            Event::Taken => {
                self.requests.finish();
                self.requests.doubtful = None;
                self.ownership = Ownership::Waiting;
            }
            Event::Stored(conf) => {
                let is_done =
                    matches!((&conf, &self.storing), (Conf::Good(is), Some(was)) if is == was);
                self.had_conf = true;
                if let Some(stored) = self.storing.take().map(Conf::Good) {
                    self.offer_what_was_stored(&stored);
                    self.conf = Some(stored);
                    // What it says beyond that was edited by somebody who saw it.
                    self.agree();
                }
                self.conf = Some(conf);
                // A config that does not keep what it is given must not be written for ever.
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
            let turn = |Conflict { field, local, remote }| Conflict {
                field,
                local: remote,
                remote: local,
            };
            let lost: Vec<Conflict> = losses(&overruled, &record).into_iter().map(turn).collect();
            if !lost.is_empty() {
                actions.push(Action::TellOverruled(lost));
            }
        }
        self.stand(record.clone(), actions);
        self.meet(Remote { record: Some(record), version: remote.version });
        self.remote = Some(remote);
    }

    /// The znode is ours since we put that record there.
    fn stand(&mut self, record: Record, actions: &mut Vec<Action>) {
        self.ownership = Ownership::Ours;
        if self.terms.is_one_way {
            self.agreed = Some(record);
        } else {
            // At the start, both sides start from it. Later, the base is what they
            // agreed on before the znode was lost.
            self.agreed.get_or_insert(record);
        }
        actions.push(Action::TellJoined);
    }

    /// Something changed: what was waited for may be there.
    fn try_again(&mut self) {
        if self.ownership == Ownership::Waiting {
            self.ownership = Ownership::Unclaimed;
        }
    }

    /// The znode holds this: what we offered and find there was taken.
    fn meet(&mut self, remote: Remote) {
        if let (Some(offered), Some(record)) = (self.offered.take(), &remote.record) {
            if self.terms.is_one_way {
                if offered == *record {
                    self.agreed = Some(offered);
                }
            } else if let Some(agreed) = &self.agreed {
                self.agreed = Some(common_ground(agreed, &offered, record));
            }
        }
        self.remote = Some(remote);
    }

    /// At the start, what all hosts share replaces the config as a whole.
    fn yield_to_common(&mut self, actions: &mut Vec<Action>) {
        if !self.terms.is_common || self.terms.is_one_way || self.agreed.is_some() {
            return;
        }
        let (Some(Conf::Good(_) | Conf::Missing), Some(local), Some(record)) =
            (&self.conf, self.local(), self.remote_record())
        else {
            return;
        };
        let lost = losses(&local, record);
        if !lost.is_empty() {
            actions.push(Action::TellConflicts(lost));
        }
        // As if only the remote side had changed since.
        self.agreed = Some(local);
    }

    /// What the remote side sent us is no offer of ours that may yet be taken: let
    /// what was stored since change the offer as it changed the config.
    fn offer_what_was_stored(&mut self, conf: &Conf) {
        if let (Some(Conf::Good(before)), Conf::Good(after), Some(offered)) =
            (&self.conf, conf, &self.offered)
        {
            self.offered = Some(merge(before, offered, after).record);
        }
    }

    /// What the config says, as far as the merge is concerned: one that is missing
    /// or bad says nothing new.
    fn local(&self) -> Option<Record> {
        let record = match self.conf.as_ref()? {
            Conf::Good(record) => record.clone(),
            Conf::Missing | Conf::Bad => self.agreed.clone().unwrap_or_default(),
        };
        Some(self.with_hostname(record))
    }

    fn with_hostname(&self, record: Record) -> Record {
        let Some(hostname) = &self.terms.hostname else { return record };
        let mut map = record.into_map();
        map.insert(HOSTNAME.to_owned(), Value::String(hostname.clone()));
        Record::from_map(map)
    }

    fn remote_record(&self) -> Option<&Record> {
        self.remote.as_ref()?.record.as_ref()
    }

    /// What both sides shall have, and what the local side loses by it.
    fn merged(&self) -> Option<(Record, Vec<Conflict>)> {
        let local = self.local()?;
        let Some(agreed) = self.agreed.as_ref().filter(|_| !self.terms.is_one_way) else {
            let has_nothing = self.terms.is_common && self.conf == Some(Conf::Bad);
            return (!has_nothing || self.agreed.is_some()).then_some((local, Vec::new()));
        };
        let merge = merge(agreed, &local, self.remote_record().unwrap_or(agreed));
        // The name is not theirs to change.
        let record = self.with_hostname(merge.record);
        let is_name = |field: &FieldPath| field.keys().len() == 1 && field.keys()[0] == HOSTNAME;
        let is_lost =
            |conflict: &Conflict| !(self.terms.hostname.is_some() && is_name(&conflict.field));
        Some((record, merge.conflicts.into_iter().filter(is_lost).collect()))
    }

    /// Keeps track of what both sides hold in common.
    fn agree(&mut self) {
        if self.terms.is_one_way {
            return;
        }
        let (Some(agreed), Some(Conf::Good(_)), Some(remote)) =
            (&self.agreed, &self.conf, self.remote_record())
        else {
            return;
        };
        if let Some(local) = self.local() {
            self.agreed = Some(common_ground(agreed, &local, remote));
        }
    }

    fn next_store(&mut self) -> Option<Vec<Action>> {
        // Not before the znode was ours once: until then we know nothing better.
        let agreed = self.agreed.as_ref()?;
        if self.terms.is_one_way || self.store_retry.deadline().is_some() {
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
                actions.insert(0, Action::TellConflicts(conflicts));
            }
        }
        Some(actions)
    }

    fn next_request(&mut self) -> Option<Action> {
        let (action, request) = match self.ownership {
            Ownership::Waiting => return None,
            // First see whether the last claim succeeded, with what it put there.
            Ownership::Unclaimed if self.requests.doubtful.is_some() => {
                (Action::Look, Request::Look)
            }
            // To see whether there is one, if there is nothing to create it with.
            Ownership::Unclaimed if self.terms.is_common && self.merged().is_none() => {
                (Action::Look, Request::Look)
            }
            Ownership::Unclaimed => {
                let (mut record, _) = self.merged()?;
                if self.requests.unfit.as_ref() == Some(&record) {
                    // Better the last good record than none.
                    record = self.agreed.clone().filter(|agreed| *agreed != record)?;
                }
                (Action::Claim(record.clone()), Request::Claim(record))
            }
            Ownership::Ours if self.requests.look_again || self.remote.is_none() => {
                (Action::Look, Request::Look)
            }
            Ownership::Ours => {
                let (record, _) = self.merged()?;
                let version = self.remote.as_ref()?.version;
                if !self.is_to_be_published(&record)
                    || self.requests.unfit.as_ref() == Some(&record)
                {
                    return None;
                }
                (Action::Publish { record: record.clone(), version }, Request::Publish(record))
            }
        };
        if request != Request::Look {
            self.offered = self.local();
        }
        self.requests.look_again = false;
        self.requests.under_way = Some(request);
        Some(action)
    }

    fn is_to_be_published(&self, record: &Record) -> bool {
        let Some(remote) = self.remote_record() else {
            // Nonsense in our own znode is repaired, in one that others share it is not.
            return !self.terms.is_common;
        };
        match (self.terms.is_one_way, &self.agreed) {
            (true, published) => published.as_ref() != Some(record),
            (false, Some(_)) => record != remote,
            (false, None) => false,
        }
    }
}

/// The fields of a record that another one does not hold as they were.
fn losses(before: &Record, after: &Record) -> Vec<Conflict> {
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
