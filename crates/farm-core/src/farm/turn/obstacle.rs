//! What keeps a host from acting.

use super::FarmVerdict;
use std::fmt;

/// Why a turn has to wait.
#[derive(Debug, Clone)]
pub enum Obstacle {
    /// It is no allowed hour.
    OffHours,
    /// The permit is not ours.
    NoPermit,
    /// The farm can't spare this host, or it is not known whether it can.
    Farm(FarmVerdict),
    /// This host is still in the rotation.
    NotDrained,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffHours => f.write_str("it is no allowed hour"),
            Self::NoPermit => f.write_str("it is others' turn"),
            Self::Farm(verdict) => verdict.fmt(f),
            Self::NotDrained => f.write_str("this host is not drained yet"),
        }
    }
}
