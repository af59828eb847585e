//! The record of a version, and its changes.
//!
//! Each change is a function from the record that was read to the one that replaces it, if that
//! one is still there: a compare-and-set.
//!
//! **Invariant.** No more than [`TRIES_MAX`] tries are counted as long as none has an outcome. A
//! refusal ends only by [`retry`] or by the member that refused.

use super::FORMAT;
use crate::codec::json::{decode_znode, encode_znode};
use crate::farm::fields::{Fields, record, shortened};
use crate::model::Value;

/// The most tries of a version without an outcome.
pub const TRIES_MAX: usize = 2;

/// The outcome of a version so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It is being tried, or was tried without an outcome.
    Trying,
    /// A member runs on it and is known to work.
    Confirmed,
    /// A member does not work on it.
    Refused,
}

impl Verdict {
    /// The word for it in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trying => "trying",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Trying, Self::Confirmed, Self::Refused]
            .into_iter()
            .find(|verdict| verdict.name() == name)
    }
}

/// A turn of a member on a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trial {
    /// The id of the member.
    pub id: String,
    /// Tells this turn from the other ones of this member, also from those of an earlier process.
    pub token: String,
}

/// The content of `versions/<version>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionRecord {
    /// The outcome so far.
    pub verdict: Verdict,
    /// The last writer.
    pub by: Option<String>,
    /// When, in milliseconds since 1970, by the clock of the writer.
    pub at_ms: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// The turns without an outcome.
    pub trials: Vec<Trial>,
    /// How many turns without an outcome were counted; not fewer than `trials`.
    pub tries: usize,
    /// How often an operator has had the refusal forgotten.
    pub round: u64,
    /// The token of the turn that refused it.
    pub refused_in: Option<String>,
}

impl VersionRecord {
    /// Reads the bytes of the znode, which may come from any client. Without a valid verdict it
    /// counts as a version that was never tried.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let found = decode_znode(bytes).ok()?;
        let fields = Fields(found.as_map());
        let trial = |value: &Value| {
            let fields = Fields(value.as_object()?);
            Some(Trial { id: fields.text("id")?, token: fields.text("token")? })
        };
        let trials: Vec<Trial> =
            fields.list("trials").iter().take(TRIES_MAX).filter_map(trial).collect();
        let tries: usize = fields.number("tries").unwrap_or_default();
        Some(Self {
            verdict: Verdict::parse(&fields.text("verdict")?)?,
            by: fields.text("by"),
            at_ms: fields.time("at"),
            reason: fields.text("reason"),
            tries: tries.max(trials.len()),
            trials,
            round: fields.number("round").unwrap_or_default(),
            refused_in: fields.text("refused_in"),
        })
    }

    /// The bytes of the znode.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let trial = |Trial { id, token }: &Trial| {
            let fields = [("id", Value::from(shortened(id))), ("token", Value::from(&**token))];
            Value::Object(
                fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect(),
            )
        };
        let trials: Vec<Value> = self.trials.iter().map(trial).collect();
        encode_znode(&record([
            ("v", Some(Value::from(FORMAT))),
            ("verdict", Some(Value::from(self.verdict.name()))),
            ("by", self.by.as_deref().map(|by| Value::from(shortened(by)))),
            ("at", self.at_ms.map(Value::from)),
            ("reason", self.reason.as_deref().map(|reason| Value::from(shortened(reason)))),
            ("tries", Some(Value::from(self.tries))),
            ("trials", (!trials.is_empty()).then_some(Value::Array(trials))),
            ("round", (self.round > 0).then(|| Value::from(self.round))),
            ("refused_in", self.refused_in.clone().map(Value::from)),
        ]))
    }

    /// The members whose turns on the version have no outcome.
    pub fn triers(&self) -> impl Iterator<Item = &str> {
        self.trials.iter().map(|trial| trial.id.as_str())
    }

    fn blank() -> Self {
        Self {
            verdict: Verdict::Trying,
            by: None,
            at_ms: None,
            reason: None,
            trials: Vec::new(),
            tries: 0,
            round: 0,
            refused_in: None,
        }
    }

    /// The same version with another verdict by that writer.
    fn with(&self, verdict: Verdict, by: &str, at_ms: Option<i64>, reason: Option<String>) -> Self {
        let by = Some(by.to_owned());
        Self { verdict, by, at_ms, reason, refused_in: None, ..self.clone() }
    }
}

/// Whether a turn on a version may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TryOutcome {
    /// It may, in this round.
    Allowed {
        /// How often an operator has had the refusal forgotten.
        round: u64,
    },
    /// The version is refused.
    Refused,
}

/// Counts a try before the first file is touched; returns what to write, if anything.
#[must_use]
pub fn begin_try(
    found: Option<&VersionRecord>,
    trial: &Trial,
    at_ms: Option<i64>,
) -> (TryOutcome, Option<VersionRecord>) {
    let allowed = |record: &VersionRecord| TryOutcome::Allowed { round: record.round };
    let blank = VersionRecord::blank();
    let found = found.unwrap_or(&blank);
    match found.verdict {
        Verdict::Refused => (TryOutcome::Refused, None),
        Verdict::Confirmed => (allowed(found), None),
        // An earlier attempt to write this has succeeded.
        Verdict::Trying if found.trials.contains(trial) => (allowed(found), None),
        Verdict::Trying if found.tries >= TRIES_MAX => {
            let ids: Vec<&str> = found.triers().collect();
            let whose =
                if ids.is_empty() { String::new() } else { format!(" ({})", ids.join(", ")) };
            let reason = format!("{TRIES_MAX} turns on it had no outcome{whose}");
            (
                TryOutcome::Refused,
                Some(found.with(Verdict::Refused, &trial.id, at_ms, Some(reason))),
            )
        }
        Verdict::Trying => {
            let mut counted = found.with(Verdict::Trying, &trial.id, at_ms, found.reason.clone());
            counted.tries += 1;
            counted.trials.push(trial.clone());
            (allowed(found), Some(counted))
        }
    }
}

/// Takes back a try that has touched nothing.
#[must_use]
pub fn untouched(found: Option<&VersionRecord>, trial: &Trial) -> Option<VersionRecord> {
    let found = found.filter(|found| found.verdict == Verdict::Trying)?;
    let at = found.trials.iter().position(|other| other == trial)?;
    let mut lowered = found.clone();
    lowered.trials.remove(at);
    lowered.tries = lowered.tries.saturating_sub(1);
    Some(lowered)
}

/// Records that the child of that turn works on the version.
#[must_use]
pub fn confirm(
    found: Option<&VersionRecord>,
    trial: &Trial,
    at_ms: Option<i64>,
) -> Option<VersionRecord> {
    let blank = VersionRecord::blank();
    let found = found.unwrap_or(&blank);
    match found.verdict {
        Verdict::Confirmed => return None,
        // Only the one that refused it may change its mind.
        Verdict::Refused if found.refused_in.as_ref() != Some(&trial.token) => return None,
        Verdict::Trying | Verdict::Refused => {}
    }
    let mut confirmed = found.with(Verdict::Confirmed, &trial.id, at_ms, None);
    confirmed.trials.clear();
    confirmed.tries = 0;
    Some(confirmed)
}

/// Records that a member does not work on the version. `round` is the one of its turn: a refusal
/// that comes after a [`retry`] is about an earlier round, and counts no more.
#[must_use]
pub fn refuse(
    found: Option<&VersionRecord>,
    trial: &Trial,
    round: u64,
    reason: &str,
    at_ms: Option<i64>,
) -> Option<VersionRecord> {
    let blank = VersionRecord { round, ..VersionRecord::blank() };
    let found = found.unwrap_or(&blank);
    if found.verdict == Verdict::Refused || found.round != round {
        return None;
    }
    let mut refused = found.with(Verdict::Refused, &trial.id, at_ms, Some(shortened(reason)));
    refused.refused_in = Some(trial.token.clone());
    Some(refused)
}

/// Forgets a refusal: the version may be tried again. `None` if it is not refused.
#[must_use]
pub fn retry(found: &VersionRecord, by: &str, at_ms: Option<i64>) -> Option<VersionRecord> {
    if found.verdict != Verdict::Refused {
        return None;
    }
    let mut again = found.with(Verdict::Trying, by, at_ms, found.reason.clone());
    again.round = found.round.saturating_add(1);
    again.trials.clear();
    again.tries = 0;
    Some(again)
}
