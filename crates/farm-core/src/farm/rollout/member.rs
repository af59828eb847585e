//! The record in which a member reports its state.

use super::FORMAT;
use super::sources::Source;
use super::version::Version;
use crate::codec::json::{decode_znode, encode_znode};
use crate::farm::fields::{Fields, record, shortened};
use crate::model::Value;
use std::num::NonZeroU32;

/// How many sources are read.
const SOURCES_MAX: usize = 1000;

/// The state of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberState {
    /// Its first child is not started yet.
    Starting,
    /// Its child runs, and there is nothing to do.
    Running,
    /// It waits for the allowed hours.
    OffHours,
    /// It waits for the lock.
    Waiting,
    /// It has the lock, and the farm can't spare it.
    Blocked,
    /// It is about to restart its child, or is doing it.
    Restarting,
    /// Its child runs on new content and is not known to work yet.
    Unconfirmed,
    /// Its child works; it keeps the lock a little longer.
    Soaking,
    /// Its turn has failed.
    Failed,
    /// It wants content that the group has refused.
    Refused,
    /// It waits until an operator resumes the group.
    Paused,
    /// It leaves out the content on an operator's order.
    Skipped,
    /// It is ending.
    Stopping,
}

impl MemberState {
    const ALL: [Self; 13] = [
        Self::Starting,
        Self::Running,
        Self::OffHours,
        Self::Waiting,
        Self::Blocked,
        Self::Restarting,
        Self::Unconfirmed,
        Self::Soaking,
        Self::Failed,
        Self::Refused,
        Self::Paused,
        Self::Skipped,
        Self::Stopping,
    ];

    /// The word for it in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::OffHours => "off-hours",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Restarting => "restarting",
            Self::Unconfirmed => "unconfirmed",
            Self::Soaking => "soaking",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Paused => "paused",
            Self::Skipped => "skipped",
            Self::Stopping => "stopping",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// The versions that a member knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemberVersions {
    /// The version of its sources at the last read.
    pub wanted: Option<Version>,
    /// The version that its child runs on.
    pub running: Option<Version>,
    /// The last version that its child was known to work on.
    pub confirmed: Option<Version>,
}

/// The content of `members/<id>`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberRecord {
    /// Its host.
    pub host: Option<String>,
    /// Its process on the host.
    pub pid: Option<u64>,
    /// Its state; `None` for a word that this version does not know.
    pub state: Option<MemberState>,
    /// Since when, in milliseconds since 1970, by its clock.
    pub since_ms: Option<i64>,
    /// Where its content comes from; `None` for a source that this version does not know.
    pub sources: Option<Vec<Source>>,
    /// Its versions.
    pub versions: MemberVersions,
    /// The number of the restart that its child has done.
    pub restarted: Option<u64>,
    /// Whether its last health check was good; `None` without one.
    pub is_healthy: Option<bool>,
    /// Why its last turn has failed, or why it is not doing what it wants.
    pub reason: Option<String>,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// How many members it lets have a turn at once.
    pub holders: Option<NonZeroU32>,
}

impl MemberRecord {
    /// Reads the valid fields of the bytes, which may come from any client.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(found) = decode_znode(bytes) else { return Self::default() };
        let fields = Fields(found.as_map());
        let sources = found.as_map().get("sources").and_then(Value::as_array);
        let sources = sources.filter(|sources| sources.len() <= SOURCES_MAX);
        let health = fields.text("health");
        Self {
            host: fields.text("host"),
            pid: fields.number("pid"),
            state: fields.text("state").and_then(|name| MemberState::parse(&name)),
            since_ms: fields.time("since"),
            sources: sources.and_then(|sources| sources.iter().map(Source::of).collect()),
            versions: MemberVersions {
                wanted: fields.parsed("wanted"),
                running: fields.parsed("running"),
                confirmed: fields.parsed("confirmed"),
            },
            restarted: fields.number("restarted"),
            is_healthy: match health.as_deref() {
                Some("ok") => Some(true),
                Some("failing") => Some(false),
                _ => None,
            },
            reason: fields.text("reason"),
            waits_for: fields.text("waits_for"),
            holders: fields.number("n").and_then(NonZeroU32::new),
        }
    }

    /// The bytes of the znode of the member `id`.
    #[must_use]
    pub fn bytes(&self, id: &str) -> Vec<u8> {
        let text = |text: &Option<String>| text.as_deref().map(|text| Value::from(shortened(text)));
        let version = |version: Option<Version>| version.map(|v| Value::from(v.to_string()));
        let sources = |sources: &Vec<Source>| sources.iter().map(Source::value).collect();
        let health = |is_healthy| Value::from(if is_healthy { "ok" } else { "failing" });
        encode_znode(&record([
            ("v", Some(Value::from(FORMAT))),
            ("host", text(&self.host)),
            ("pid", self.pid.map(Value::from)),
            ("name", Some(Value::from(shortened(id)))),
            ("state", self.state.map(|state| Value::from(state.name()))),
            ("since", self.since_ms.map(Value::from)),
            ("sources", self.sources.as_ref().map(|all| Value::Array(sources(all)))),
            ("wanted", version(self.versions.wanted)),
            ("running", version(self.versions.running)),
            ("confirmed", version(self.versions.confirmed)),
            ("restarted", self.restarted.map(Value::from)),
            ("health", self.is_healthy.map(health)),
            ("reason", text(&self.reason)),
            ("waits_for", text(&self.waits_for)),
            ("n", self.holders.map(|holders| Value::from(holders.get()))),
        ]))
    }
}
