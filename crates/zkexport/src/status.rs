//! The tool's state, as the service manager shows it.

use crate::mirror::{BehindReason, Withheld};
use farm_core::session::ZnodePath;
use std::fmt;

/// The state, with the farm or the file that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status<'a> {
    /// No server was reached yet.
    Searching,
    /// No server carries the session; one did before.
    Away { file: &'a str },
    /// The farm is being read.
    Reading { farm: &'a ZnodePath },
    /// The farm does not exist.
    Missing { farm: &'a ZnodePath },
    /// The server does not let us list the farm.
    Refused { farm: &'a ZnodePath },
    /// The file does not follow the farm.
    Behind { file: &'a str, reason: BehindReason },
    /// The file follows the farm; `held` of its hosts are held.
    Current { file: &'a str, hosts: usize, held: usize },
}

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Searching => f.write_str("looking for ZooKeeper"),
            Self::Away { file } => write!(f, "ZooKeeper is away, {file} stays as it is"),
            Self::Reading { farm } => write!(f, "reading {farm}"),
            Self::Missing { farm } => write!(f, "waiting for {farm}, which is not there"),
            Self::Refused { farm } => write!(f, "{farm} can't be listed"),
            Self::Behind { file, reason } => match reason {
                BehindReason::WriteFails => write!(f, "{file} can't be written"),
                BehindReason::CheckRefused => write!(f, "the check refuses a new {file}"),
                BehindReason::Withheld(Withheld::TooFewHosts(n)) => {
                    write!(f, "{n} hosts are too few for {file}")
                }
                BehindReason::Withheld(Withheld::NoRecord(n)) => {
                    write!(f, "none of {n} hosts can be read, {file} stays as it is")
                }
            },
            Self::Current { file, hosts, held: 0 } => write!(f, "{hosts} hosts in {file}"),
            Self::Current { file, hosts, held } => {
                write!(f, "{hosts} hosts in {file}, {held} of them held")
            }
        }
    }
}
