//! Why a turn has to wait.

use super::health::FarmVerdict;
use std::fmt;

/// The condition of a turn that is not met.
#[derive(Debug, Clone)]
pub enum Obstacle {
    /// The time is outside the allowed hours.
    OffHours,
    /// We do not hold the permit.
    NoPermit,
    /// The farm can't spare this host, or its health is unknown.
    Farm(FarmVerdict),
    /// This host is still in the rotation.
    NotDrained,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffHours => f.write_str("the time is outside the allowed hours"),
            Self::NoPermit => f.write_str("this member does not hold the lock"),
            Self::Farm(verdict) => verdict.fmt(f),
            Self::NotDrained => f.write_str("this host is not drained yet"),
        }
    }
}
