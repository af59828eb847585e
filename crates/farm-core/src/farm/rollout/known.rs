//! The part of a version's record that matters to a member.

use super::verdict::{Verdict, VersionRecord};

/// The part of a version's record that matters to a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// Its outcome so far; `None` if it was never tried.
    pub verdict: Option<Verdict>,
    /// How often an operator has had a refusal forgotten.
    pub round: u64,
    /// Why it is refused.
    pub reason: Option<String>,
    /// The member that has refused it.
    pub by: Option<String>,
}

impl Known {
    /// The part of that record.
    #[must_use]
    pub fn of(record: &VersionRecord) -> Self {
        let VersionRecord { verdict, round, reason, by, .. } = record.clone();
        // The trials are left out: what others do does not depend on who tries a version.
        let is_refused = verdict == Verdict::Refused;
        Self {
            verdict: Some(verdict),
            round,
            reason: reason.filter(|_| is_refused),
            by: by.filter(|_| is_refused),
        }
    }
}
