//! The events that the member takes, and the actions that it asks for.

use farm_core::model::{Conflict, Record};

/// How the member syncs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberOptions {
    /// The value of the field `hostname`, on both sides; `None` leaves the field alone.
    pub(crate) hostname: Option<String>,
    /// The znode is the persistent one that all hosts share: at start, its record wins.
    pub(crate) is_common: bool,
    /// The config is never written, and wins: the znode is written when the config
    /// changes, and remote edits stand until then.
    pub(crate) is_one_way: bool,
}

/// What is known of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conf {
    Good(Record),
    Missing,
    /// It can't be read, or is malformed. It is left alone.
    Bad,
}

/// What is known of the znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// `None` if the znode is malformed.
    pub(crate) record: Option<Record>,
    /// The version, for compare-and-set.
    pub(crate) version: i32,
}

/// What happens to the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A server carries our session, maybe a new one: what is known of the znode may
    /// be out of date.
    Connected,
    /// No server carries the session, or it is over.
    Disconnected,
    /// The znode changed.
    Hint,
    /// The config was read.
    Conf(Conf),
    /// The znode is ours: just created, replaced or found. `overruled` is the record
    /// that was replaced.
    Claimed { remote: Remote, overruled: Option<Record> },
    /// The znode was read and is ours, or is the common one.
    Read(Remote),
    /// The znode does not exist.
    Gone,
    /// Our record was written, as this version.
    Published { version: i32 },
    /// Another writer changed the znode first.
    BadVersion,
    /// The connection broke during the request; `Disconnected` follows.
    Interrupted,
    /// The request was refused. `is_final` if a retry with the same record would be too.
    Refused { is_final: bool },
    /// The znode belongs to another owner; we wait for it to go.
    Taken,
    /// The config was written, and read afterwards: it may have been edited since.
    Stored(Conf),
    /// The config could not be written.
    StoreFailed,
    /// The member's deadline has passed.
    Tick,
}

/// What the member wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make the znode ours; create it with this record if it does not exist.
    Claim(Record),
    /// Read the znode.
    Read,
    /// Write the record to the znode if it still has that version.
    Publish { record: Record, version: i32 },
    /// Write the record to the config if it has not changed since it was read.
    Store(Record),
    /// Log that local edits of these fields are lost.
    ReportConflicts(Vec<Conflict>),
    /// Log that the config replaced these fields of a left-over znode.
    ReportOverruled(Vec<Conflict>),
    /// The znode exists and is ours, for the first time in this session.
    ReportJoined,
}
