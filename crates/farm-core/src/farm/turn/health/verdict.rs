//! May this host fail, on top of those that do?
//!
//! **Invariant.** A host that is not recognised as this one is counted as another: at
//! worst one host too many is thought to fail, never one too few.

use crate::codec::DecodeError;
use crate::engine::chain;
use crate::host::identity;
use crate::model::{
    Allowance, Filter, Health, Hosts, Record, RunningFilterError, SizeError, Value,
};
use crate::session::SessionError;
use std::fmt;
use std::sync::Arc;

/// How this host is found among the hosts of a farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThisHost {
    name: Option<String>,
    hostname: Option<String>,
}

impl ThisHost {
    /// A host that registers under that name, and with that field `hostname`.
    #[must_use]
    pub(crate) const fn new(name: Option<String>, hostname: Option<String>) -> Self {
        Self { name, hostname }
    }

    /// What zkjoin takes for the two where it is not told otherwise. What this host
    /// does not know of itself is left out.
    #[must_use]
    pub(crate) fn detect() -> Self {
        let unknown = |error| log::debug!("this host does not know itself: {}", chain(&error));
        let name = identity::default_route_ipv4().map(|address| address.to_string());
        let hostname = identity::host_name();
        Self::new(name.map_err(unknown).ok(), hostname.map_err(unknown).ok())
    }

    /// Is that host this one? A name alone does not count against a field `hostname`
    /// that says otherwise: addresses behind a gateway are not unique.
    pub(super) fn is(&self, name: &str, record: Option<&Record>) -> bool {
        let told =
            record.and_then(|record| record.as_map().get("hostname")).and_then(Value::as_str);
        match (told, &self.hostname) {
            (Some(told), Some(hostname)) => told == hostname,
            (Some(_), None) | (None, _) => self.name.as_deref() == Some(name),
        }
    }
}

/// What a farm's own record says about it.
#[derive(Debug, Clone)]
pub(super) struct VerdictRules {
    pub(super) size: u64,
    pub(super) running: Option<Filter>,
}

/// Whether this host may be taken out of its farm.
#[derive(Debug, Clone)]
pub enum FarmVerdict {
    /// It can't be told, so it may not.
    Unknown(UnknownReason),
    /// It may if no more hosts fail then than are allowed to.
    Known {
        /// How many hosts fail then, this one included.
        failing: u64,
        /// How many hosts the farm should have.
        size: u64,
        /// How many of them may fail.
        allowed: Hosts,
    },
}

impl FarmVerdict {
    /// May it?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Known { failing, allowed, .. } if allowed.permits(*failing))
    }

    /// Judges a farm by the hosts that are there, each with its record if it can be
    /// read. `was_seen` says whether this host has ever been among them.
    pub(super) fn of<'a>(
        terms: &VerdictRules,
        hosts: impl Iterator<Item = (&'a str, Option<&'a Record>)>,
        this: &ThisHost,
        was_seen: bool,
        max_failed: &Allowance,
    ) -> Self {
        let keeps = |record| terms.running.as_ref().is_none_or(|filter| filter.keeps(record));
        let mut is_there = false;
        let health = Health::of(
            terms.size,
            hosts.map(|(name, record)| {
                let is_this = this.is(name, record);
                is_there |= is_this;
                (name.to_owned(), record.is_some_and(keeps) && !is_this)
            }),
        );
        // One that was here and has gone is one of the missing.
        let is_counted = is_there || was_seen && health.missing() > 0;
        let (size, allowed) = (health.size(), max_failed.of(health.size()));
        // More than all of them can't fail: then it is one of them after all.
        let failing = (health.failing() + u64::from(!is_counted)).min(size.max(1));
        Self::Known { failing, size, allowed }
    }
}

impl fmt::Display for FarmVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(reason) => write!(f, "nobody knows how the farm is: {}", chain(reason)),
            Self::Known { failing, size, allowed } if allowed.permits(*failing) => {
                write!(f, "{failing} of {size} hosts fail with this one, {allowed} may")
            }
            Self::Known { failing, size, allowed } => {
                write!(f, "{failing} of {size} hosts would fail with this one, {allowed} may")?;
                // Waiting will not help.
                if allowed.permits(1) { Ok(()) } else { f.write_str(": not even this one alone") }
            }
        }
    }
}

/// Why it can't be told how a farm is.
#[derive(Debug, thiserror::Error, Clone)]
pub enum UnknownReason {
    /// No server carries the session.
    #[error("ZooKeeper is away")]
    Away,
    /// It is being read.
    #[error("it is being read")]
    Reading,
    /// There is no such farm.
    #[error("it is not there")]
    NoFarm,
    /// ZooKeeper does not let us see it.
    #[error("it can't be read")]
    Refused(#[source] SessionError),
    /// The farm's own record is none.
    #[error("its own znode holds no record")]
    Malformed(#[source] Arc<DecodeError>),
    /// It does not tell how many hosts there should be.
    #[error(transparent)]
    Size(SizeError),
    /// It does not tell which hosts run.
    #[error(transparent)]
    RunningFilter(RunningFilterError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const UP: &str = "up=1";

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    fn this(name: &str, hostname: &str) -> ThisHost {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        ThisHost::new(known(name), known(hostname))
    }

    #[test]
    fn this_host_is_known_by_its_hostname_else_by_its_name() {
        for (us, name, fields, wanted) in [
            (this("10.0.0.1", "web1"), "10.0.0.1", json!({"hostname": "web1"}), true),
            (this("10.0.0.1", "web1"), "db-01", json!({"hostname": "web1"}), true),
            (this("10.0.0.1", "web1"), "10.0.0.1", json!({}), true),
            (this("10.0.0.1", "web1"), "10.0.0.1", json!({"hostname": 7}), true),
            (this("10.0.0.1", "web1"), "10.0.0.1", json!({"hostname": "web2"}), false),
            (this("10.0.0.1", "web1"), "10.0.0.2", json!({}), false),
            (this("10.0.0.1", ""), "10.0.0.1", json!({"hostname": "web2"}), true),
            (this("", "web1"), "web1", json!({}), false),
            (this("", ""), "", json!({}), false),
        ] {
            let record = record(fields);
            assert_eq!(us.is(name, Some(&record)), wanted, "{us:?} {name} {record:?}");
        }
        assert!(this("10.0.0.1", "web1").is("10.0.0.1", None));
        assert!(ThisHost::detect().hostname.is_some());
    }

    /// Hosts `h0`, `h1`, ...: `+` runs, `-` does not, `?` can't be read. We are `h0`.
    fn judge(size: u64, hosts: &str, us: &ThisHost, was_seen: bool, max: &str) -> FarmVerdict {
        let hosts: Vec<_> = (0..)
            .zip(hosts.chars())
            .map(|(number, state)| {
                let fields = json!({"up": i32::from(state == '+')});
                (format!("h{number}"), (state != '?').then(|| record(fields)))
            })
            .collect();
        let terms = VerdictRules { size, running: Some(Filter::parse(UP).unwrap()) };
        let max = Allowance::parse(max).unwrap();
        let hosts = hosts.iter().map(|(name, record)| (name.as_str(), record.as_ref()));
        FarmVerdict::of(&terms, hosts, us, was_seen, &max)
    }

    #[test]
    fn so_many_fail_with_this_one_and_so_many_may() {
        for (size, hosts, max, failing, is_allowed) in [
            (10, "++++++++++", "10%", 1, true),
            // Its share is not rounded.
            (9, "+++++++++", "10%", 1, false),
            (19, "+++++++++++++++++-+", "10%", 2, false),
            (20, "++++++++++++++++++-+", "10%", 2, true),
            (10, "+++++++++-", "10%", 2, false),
            (10, "+++++++++-", "2", 2, true),
            (10, "++++++++?-", "2", 3, false),
            // It fails already, or can't be read: it is not counted twice.
            (10, "-+++++++++", "1", 1, true),
            (10, "?+++++++++", "1", 1, true),
            (10, "-++++++++-", "1", 2, false),
            // Those that are missing fail.
            (10, "+++++++++", "1", 2, false),
            (10, "+++++++++", "2", 2, true),
            // More than there should be.
            (3, "+++++-", "2", 2, true),
            (3, "++++++", "20%", 1, true),
            (0, "+", "0", 1, false),
            (0, "+", "100%", 1, true),
            (5, "+++++", "0", 1, false),
            (5, "+", "100%", 5, true),
        ] {
            let verdict = judge(size, hosts, &this("h0", "web1"), true, max);
            let FarmVerdict::Known { failing: told, .. } = verdict else { panic!("{verdict:?}") };
            let told = (told, verdict.is_allowed());
            assert_eq!(told, (failing, is_allowed), "{size} {hosts} {max}");
        }
    }

    #[test]
    fn a_host_that_is_not_there_is_one_of_the_missing_only_if_it_has_been_there() {
        // size, hosts, was it seen: how many fail
        for (size, hosts, was_seen, wanted) in [
            (10, "++++++++++", false, 1),
            (10, "+++++++++", false, 2),
            (10, "+++++++++", true, 1),
            (10, "++++++++", true, 2),
            // Somebody lowered the size since.
            (9, "+++++++++", true, 1),
            (3, "", false, 3),
            (0, "", false, 1),
        ] {
            let verdict = judge(size, hosts, &this("elsewhere", "web1"), was_seen, "10");
            let FarmVerdict::Known { failing, .. } = verdict else { panic!("{verdict:?}") };
            assert_eq!(failing, wanted, "{size} {hosts} {was_seen}");
        }
    }

    #[test]
    fn a_host_that_is_there_twice_fails_twice() {
        let fields = |hostname: &str| record(json!({"hostname": hostname, "up": 1}));
        let hosts = [("a", fields("web1")), ("b", fields("web1")), ("c", fields("web2"))];
        let terms = VerdictRules { size: 3, running: None };
        let hosts = hosts.iter().map(|(name, record)| (*name, Some(record)));
        let max = Allowance::parse("2").unwrap();
        let verdict = FarmVerdict::of(&terms, hosts, &this("c", "web1"), true, &max);
        assert_eq!(verdict.to_string(), "2 of 3 hosts fail with this one, 2 may");
    }

    #[test]
    fn a_limit_that_can_never_be_kept_is_told_as_such() {
        let told = |size, hosts, max| judge(size, hosts, &this("h0", ""), true, max).to_string();
        let wanted = "1 of 5 hosts would fail with this one, 0.5 may: not even this one alone";
        assert_eq!(told(5, "+++++", "10%"), wanted);
        let wanted = "2 of 17 hosts would fail with this one, 1.7 may";
        assert_eq!(told(17, "++++++++++++++++", "10%"), wanted);
    }
}
