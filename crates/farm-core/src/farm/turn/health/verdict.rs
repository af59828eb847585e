//! Whether this host may go down on top of those that fail already.
//!
//! **Invariant.** If this host is not recognised in the farm, it is counted as one more: the count
//! of failing hosts may be one too high, but never too low.

use crate::codec::Malformed;
use crate::engine::chain;
use crate::host::identity;
use crate::model::{
    Allowance, Filter, Health, Hosts, Record, RunningFilterError, SizeError, Value,
};
use crate::session::SessionError;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// How to recognise this host in a farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ThisHost {
    name: Option<String>,
    hostname: Option<String>,
}

impl ThisHost {
    /// A host that registers under this name, and with this field `hostname`.
    #[must_use]
    pub(crate) const fn new(name: Option<String>, hostname: Option<String>) -> Self {
        Self { name, hostname }
    }

    /// The defaults of zkjoin for the two. An unknown one is left out.
    #[must_use]
    pub(crate) fn detect() -> Self {
        let unknown = |error| log::debug!("cannot identify this host: {}", chain(&error));
        let name = identity::default_route_ipv4().map(|address| address.to_string());
        let hostname = identity::host_name();
        Self::new(name.map_err(unknown).ok(), hostname.map_err(unknown).ok())
    }

    /// Whether the host is this one. The field `hostname` outranks the name, because addresses
    /// behind a gateway are not unique.
    pub(super) fn is(&self, name: &str, record: Option<&Record>) -> bool {
        let theirs =
            record.and_then(|record| record.as_map().get("hostname")).and_then(Value::as_str);
        match (theirs, &self.hostname) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (Some(_), None) | (None, _) => self.name.as_deref() == Some(name),
        }
    }
}

/// The rules in the farm's own record.
#[derive(Debug, Clone)]
pub(super) struct VerdictRules {
    pub(super) size: u64,
    pub(super) running: Option<Filter>,
}

/// Whether this host may be taken out of its farm.
#[derive(Debug, Clone)]
pub enum FarmVerdict {
    /// The health of the farm is unknown, so this host may not go down.
    Unknown(UnknownReason),
    /// This host may go down if `failing` is at most `allowed`.
    Known {
        /// How many hosts would fail, this one included.
        failing: u64,
        /// How many hosts the farm should have.
        size: u64,
        /// How many hosts may fail.
        allowed: Hosts,
    },
}

impl FarmVerdict {
    /// Whether this host may go down.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Known { failing, allowed, .. } if allowed.permits(*failing))
    }

    /// Judges a farm by its hosts, each with its record if that can be read. `was_seen` is whether
    /// this host has ever been among them.
    pub(super) fn of<'a>(
        rules: &VerdictRules,
        hosts: impl Iterator<Item = (&'a str, Option<Cow<'a, Record>>)>,
        this: &ThisHost,
        was_seen: bool,
        max_failed: &Allowance,
    ) -> Self {
        let keeps =
            |record: &Record| rules.running.as_ref().is_none_or(|filter| filter.keeps(record));
        let mut is_there = false;
        let health = Health::of(
            rules.size,
            hosts.map(|(name, record)| {
                let record = record.as_deref();
                let is_this = this.is(name, record);
                is_there |= is_this;
                (name.to_owned(), record.is_some_and(keeps) && !is_this)
            }),
        );
        // If this host was in the farm and has left, it is one of the missing hosts.
        let is_counted = is_there || was_seen && health.missing() > 0;
        let (size, allowed) = (health.size(), max_failed.of(health.size()));
        // If all hosts fail already, this one is among them.
        let failing = (health.failing() + u64::from(!is_counted)).min(size.max(1));
        Self::Known { failing, size, allowed }
    }
}

impl fmt::Display for FarmVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(reason) => {
                write!(f, "the health of the farm is unknown: {}", chain(reason))
            }
            Self::Known { failing, size, allowed } if allowed.permits(*failing) => {
                write!(f, "{failing} of {size} hosts fail, this one included, and {allowed} may")
            }
            Self::Known { failing, size, allowed } => {
                write!(
                    f,
                    "{failing} of {size} hosts would fail, this one included, but only {allowed} may"
                )?;
                // Waiting does not help.
                if allowed.permits(1) { Ok(()) } else { f.write_str(": not even this one alone") }
            }
        }
    }
}

/// Why the health of a farm is unknown.
#[derive(Debug, thiserror::Error, Clone)]
pub enum UnknownReason {
    /// There is no connection to ZooKeeper.
    #[error("ZooKeeper is away")]
    Away,
    /// The farm is being read.
    #[error("it is being read")]
    Reading,
    /// The farm does not exist.
    #[error("it does not exist")]
    NoFarm,
    /// ZooKeeper refuses to read the farm.
    #[error("it can't be read")]
    Refused(#[source] SessionError),
    /// The farm's own znode holds no record.
    #[error("its own znode holds no record")]
    Malformed(#[source] Arc<Malformed>),
    /// The farm's record has no valid size.
    #[error(transparent)]
    Size(SizeError),
    /// The farm's record has an invalid filter for running hosts.
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

    /// Hosts `h0`, `h1`, ...: `+` runs, `-` does not, `?` can't be read. This host is `h0`.
    fn judge(size: u64, hosts: &str, us: &ThisHost, was_seen: bool, max: &str) -> FarmVerdict {
        let hosts: Vec<_> = (0..)
            .zip(hosts.chars())
            .map(|(number, state)| {
                let fields = json!({"up": i32::from(state == '+')});
                (format!("h{number}"), (state != '?').then(|| record(fields)))
            })
            .collect();
        let rules = VerdictRules { size, running: Some(Filter::parse(UP).unwrap()) };
        let max = Allowance::parse(max).unwrap();
        let hosts =
            hosts.iter().map(|(name, record)| (name.as_str(), record.as_ref().map(Cow::Borrowed)));
        FarmVerdict::of(&rules, hosts, us, was_seen, &max)
    }

    #[test]
    fn the_failing_hosts_are_counted_with_this_one_and_compared_with_the_limit() {
        for (size, hosts, max, failing, is_allowed) in [
            (10, "++++++++++", "10%", 1, true),
            // The share is not rounded.
            (9, "+++++++++", "10%", 1, false),
            (19, "+++++++++++++++++-+", "10%", 2, false),
            (20, "++++++++++++++++++-+", "10%", 2, true),
            (10, "+++++++++-", "10%", 2, false),
            (10, "+++++++++-", "2", 2, true),
            (10, "++++++++?-", "2", 3, false),
            // This host fails already, or can't be read: it is not counted twice.
            (10, "-+++++++++", "1", 1, true),
            (10, "?+++++++++", "1", 1, true),
            (10, "-++++++++-", "1", 2, false),
            // Missing hosts fail.
            (10, "+++++++++", "1", 2, false),
            (10, "+++++++++", "2", 2, true),
            // More hosts than the size.
            (3, "+++++-", "2", 2, true),
            (3, "++++++", "20%", 1, true),
            (0, "+", "0", 1, false),
            (0, "+", "100%", 1, true),
            (5, "+++++", "0", 1, false),
            (5, "+", "100%", 5, true),
        ] {
            let verdict = judge(size, hosts, &this("h0", "web1"), true, max);
            let FarmVerdict::Known { failing: counted, .. } = verdict else {
                panic!("{verdict:?}")
            };
            let judged = (counted, verdict.is_allowed());
            assert_eq!(judged, (failing, is_allowed), "{size} {hosts} {max}");
        }
    }

    #[test]
    fn a_host_that_is_not_there_is_one_of_the_missing_only_if_it_has_been_there() {
        // size, hosts, was seen, how many fail
        for (size, hosts, was_seen, wanted) in [
            (10, "++++++++++", false, 1),
            (10, "+++++++++", false, 2),
            (10, "+++++++++", true, 1),
            (10, "++++++++", true, 2),
            // Somebody has lowered the size since.
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
        let rules = VerdictRules { size: 3, running: None };
        let hosts = hosts.iter().map(|(name, record)| (*name, Some(Cow::Borrowed(record))));
        let max = Allowance::parse("2").unwrap();
        let verdict = FarmVerdict::of(&rules, hosts, &this("c", "web1"), true, &max);
        assert_eq!(verdict.to_string(), "2 of 3 hosts fail, this one included, and 2 may");
    }

    #[test]
    fn a_limit_that_can_never_be_met_is_reported_as_such() {
        let text = |size, hosts, max| judge(size, hosts, &this("h0", ""), true, max).to_string();
        let wanted =
            "1 of 5 hosts would fail, this one included, but only 0.5 may: not even this one alone";
        assert_eq!(text(5, "+++++", "10%"), wanted);
        let wanted = "2 of 17 hosts would fail, this one included, but only 1.7 may";
        assert_eq!(text(17, "++++++++++++++++", "10%"), wanted);
    }
}
