//! What the member is told, and what it answers.

use farm_core::model::{Conflict, Record};

/// What a member is asked to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MemberOptions {
    /// What the field `hostname` shall hold, on both sides; `None` leaves it alone.
    pub(crate) hostname: Option<String>,
    /// The znode is the one that all hosts share: what it holds wins at the start,
    /// and it belongs to nobody.
    pub(crate) is_common: bool,
    /// The config is never written, and wins: the znode is written whenever the
    /// config changes, and otherwise left as others leave it.
    pub(crate) is_one_way: bool,
}

/// What is known of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conf {
    /// It holds this.
    Good(Record),
    /// There is none.
    Missing,
    /// There is one, but it can't be read or makes no sense. It is left alone.
    Bad,
}

/// What is known of the znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// What it holds; `None` if that is no record.
    pub(crate) record: Option<Record>,
    /// Its version, for compare-and-set.
    pub(crate) version: i32,
}

/// What happens to the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A server carries our session, maybe a new one: whatever was known of the
    /// znode may be out of date.
    Connected,
    /// No server carries it, or it is over.
    Disconnected,
    /// Our znode changed.
    Hint,
    /// The config was read.
    Conf(Conf),
    /// The znode is ours, as it was just created, replaced or found. `overruled`
    /// is what stood there before.
    Claimed { remote: Remote, overruled: Option<Record> },
    /// The znode was looked at, or stood there when we came, and is one to keep.
    Looked(Remote),
    /// The znode was looked at, and is not there.
    Gone,
    /// Our record was written, as this version.
    Published { version: i32 },
    /// Somebody else was quicker: look again.
    Outrun,
    /// The link broke: news of it is on its way.
    Interrupted,
    /// The request was refused. `is_final` if it would be again, as it is.
    Refused { is_final: bool },
    /// The znode belongs to somebody else; we wait for it to go.
    Taken,
    /// The config was written, and was read afterwards: it may have been edited since.
    Stored(Conf),
    /// The config was not written.
    StoreFailed,
    /// Time has passed, see [`Member::deadline`](super::Member::deadline).
    Tick,
}

/// What the member wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Make the znode ours, holding this if it is not there.
    Claim(Record),
    /// Read the znode.
    Look,
    /// Write this to the znode if it still has that version.
    Publish { record: Record, version: i32 },
    /// Write this to the config if it still holds what was read last.
    Store(Record),
    /// Tell that local edits of these fields are lost.
    TellConflicts(Vec<Conflict>),
    /// Tell that the config replaced these fields of a znode that was left over.
    TellOverruled(Vec<Conflict>),
    /// The znode stands and is ours, for the first time in this session.
    TellJoined,
}
