//! What a member knows of a version.

use super::verdict::{Verdict, VersionRecord};

/// What a member knows of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Known {
    /// What came of it; `None` if it was never tried.
    pub verdict: Option<Verdict>,
    /// How often an operator has had a refusal forgotten.
    pub round: u64,
    /// Why it is refused.
    pub reason: Option<String>,
    /// Who has said so.
    pub by: Option<String>,
}

impl Known {
    /// What the record says.
    #[must_use]
    pub fn of(record: &VersionRecord) -> Self {
        let VersionRecord { verdict, round, reason, by, .. } = record.clone();
        // While it is tried, who tries it changes nothing for the others.
        let is_refused = verdict == Verdict::Refused;
        Self {
            verdict: Some(verdict),
            round,
            reason: reason.filter(|_| is_refused),
            by: by.filter(|_| is_refused),
        }
    }
}
