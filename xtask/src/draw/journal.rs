//! What was seen, in the order in which it happened.
//!
//! **Invariant.** A write of a member's znode that was not read is an error.

use super::error::DrawError;
use super::run::{Event, Run, Told, What};
use farm_core::farm::rollout::{MemberRecord, Version};
use farm_harness::Znode;
use std::collections::BTreeMap;

/// What the members told last, by member.
pub(super) type LastTold = BTreeMap<String, Told>;

/// What was seen of the run.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// The names of the versions.
    names: BTreeMap<Version, &'static str>,
    /// What happened, in milliseconds since 1970.
    events: Vec<(i64, What)>,
    pub(super) told: LastTold,
    /// The version of each member's znode, and the time of its last event.
    read: BTreeMap<String, (i32, i64)>,
    start_ms: i64,
}

impl Journal {
    pub(super) fn new(names: BTreeMap<Version, &'static str>) -> Self {
        Self { names, ..Self::default() }
    }

    /// Forgets what happened before this time, but not what the members told last.
    pub(super) fn begin(&mut self, now_ms: i64) {
        self.start_ms = now_ms;
        let told = |(member, told): (&String, &Told)| {
            (now_ms, What::Told { member: member.clone(), told: told.clone() })
        };
        self.events = self.told.iter().map(told).collect();
    }

    /// The operator has put this version in place.
    pub(super) fn put(&mut self, at_ms: i64, version: &str) {
        self.events.push((at_ms, What::Put { version: version.to_owned() }));
    }

    /// A member's znode was read.
    pub(super) fn take(&mut self, member: String, znode: &Znode) -> Result<(), DrawError> {
        let version = znode.stat.version;
        let former = self.read.get(&member).copied();
        let (is_next, last_ms) = former.map_or((true, i64::MIN), |(former, last_ms)| {
            (version == former.wrapping_add(1), last_ms)
        });
        if !is_next {
            return Err(DrawError::Missed { member });
        }
        let record = MemberRecord::read(&znode.data);
        let Some(state) = record.state else { return Err(DrawError::Untold { member }) };
        let name = |version: Option<Version>| {
            let version = version?;
            Some(self.names.get(&version).map_or_else(|| version.to_string(), |n| (*n).to_owned()))
        };
        let versions = record.versions;
        let told = Told {
            state,
            wanted: name(versions.wanted),
            running: name(versions.running),
            confirmed: name(versions.confirmed),
            reason: record.reason,
        };
        // A member says since when it is in a state; of other changes the server knows the time.
        let is_new_state = self.told.get(&member).is_none_or(|former| former.state != state);
        let at_ms = record.since_ms.filter(|_| is_new_state).unwrap_or(znode.stat.mtime_ms);
        let at_ms = at_ms.max(last_ms);
        self.read.insert(member.clone(), (version, at_ms));
        if self.told.get(&member) != Some(&told) {
            self.told.insert(member.clone(), told.clone());
            self.events.push((at_ms, What::Told { member, told }));
        }
        Ok(())
    }

    /// The run, which ends now.
    pub(super) fn finish(mut self, now_ms: i64) -> Run {
        // What happened first was not always seen first.
        self.events.sort_by_key(|(at_ms, _)| *at_ms);
        let since_start = |at_ms: i64| u64::try_from(at_ms - self.start_ms).unwrap_or_default();
        let end_ms = since_start(now_ms);
        let event = |(at_ms, what)| Event { at_ms: since_start(at_ms).min(end_ms), what };
        Run { events: self.events.into_iter().map(event).collect(), end_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::farm::rollout::{MemberState, MemberVersions};
    use farm_harness::Stat;

    fn znode(version: i32, mtime_ms: i64, record: &MemberRecord) -> Znode {
        let stat = Stat {
            czxid: 1,
            mzxid: 1,
            ctime_ms: 0,
            mtime_ms,
            version,
            cversion: 0,
            aversion: 0,
            ephemeral_owner: 1,
            data_length: 0,
            num_children: 0,
            pzxid: 1,
        };
        Znode { data: record.bytes("a"), stat }
    }

    fn record(state: MemberState, since_ms: i64, running: &str) -> MemberRecord {
        let running = running.parse().ok();
        MemberRecord {
            state: Some(state),
            since_ms: Some(since_ms),
            versions: MemberVersions { running, ..MemberVersions::default() },
            ..MemberRecord::default()
        }
    }

    fn journal() -> Journal {
        Journal::new([("000000000001".parse().unwrap(), "V1")].into())
    }

    const ONE: &str = "000000000001";
    const TWO: &str = "000000000002";

    #[test]
    fn times_are_those_of_the_states_and_of_the_writes() {
        let mut journal = journal();
        let mut take = |version, mtime_ms, record: MemberRecord| {
            journal.take("a".to_owned(), &znode(version, mtime_ms, &record)).unwrap();
        };
        take(4, 900, record(MemberState::Running, 500, ONE));
        take(5, 910, record(MemberState::Running, 500, ONE));
        // Written late: its state began before.
        take(6, 1300, record(MemberState::Restarting, 1200, ONE));
        take(7, 1400, record(MemberState::Restarting, 1200, TWO));
        // Its clock was set back.
        take(8, 1500, record(MemberState::Unconfirmed, 1100, TWO));
        let start = journal.told.clone();
        assert_eq!(start["a"].running.as_deref(), Some(TWO));
        journal.put(1250, "V2");
        let run = journal.finish(2000);
        let seen: Vec<_> = run.events.iter().map(|event| event.at_ms).collect();
        assert_eq!(seen, [500, 1200, 1250, 1400, 1400]);
        assert!(matches!(&run.events[0].what,
            What::Told { told, .. } if told.running.as_deref() == Some("V1")));
        assert!(matches!(&run.events[2].what, What::Put { version } if version == "V2"));
        assert_eq!(run.end_ms, 2000);
    }

    #[test]
    fn a_run_begins_with_what_was_told_last() {
        let mut journal = journal();
        let mut take = |version, record: MemberRecord| {
            let member = "a".to_owned();
            journal.take(member, &znode(version, 100, &record)).unwrap();
        };
        take(0, record(MemberState::Starting, 10, ONE));
        take(1, record(MemberState::Running, 20, ONE));
        journal.begin(1000);
        let run = journal.finish(1500);
        assert_eq!((run.events.len(), run.events[0].at_ms, run.end_ms), (1, 0, 500));
    }

    #[test]
    fn a_write_that_was_not_read_ends_the_recording() {
        let mut journal = journal();
        let running = record(MemberState::Running, 1, ONE);
        let mut take = |version| journal.take("a".to_owned(), &znode(version, 1, &running));
        take(3).unwrap();
        take(4).unwrap();
        assert!(matches!(take(6), Err(DrawError::Missed { .. })));
        assert!(matches!(take(4), Err(DrawError::Missed { .. })));
    }

    #[test]
    fn a_znode_without_a_state_ends_the_recording() {
        let untold = MemberRecord::default();
        let taken = journal().take("a".to_owned(), &znode(0, 1, &untold));
        assert!(matches!(taken, Err(DrawError::Untold { .. })));
    }
}
