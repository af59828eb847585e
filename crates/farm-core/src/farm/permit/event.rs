//! What goes into the permit and what comes out of it.

use super::{Answer, Request};
use crate::session::{self, SessionError};
use std::num::NonZeroU32;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The owner wants a turn: the permit shall be waited for.
    Ask {
        /// What for, as others shall read it.
        why: String,
    },
    /// The owner is about to do what only a holder may: is the permit ours, for sure?
    /// Answered once, unless the permit is lost or given back before.
    Confirm,
    /// The owner wants none any more, whether it waits or holds.
    GiveBack,
    /// The deadline has passed.
    Tick,
}

/// What has to be done.
pub type Action = session::Action<Request, News>;

/// What is known now.
#[derive(Debug, Clone)]
pub enum News {
    /// It is others' turn.
    Waiting {
        /// How many contenders come before ours, those whose turn it is included. It
        /// is looked up when one of the nearest goes, not for everyone far ahead.
        ahead: usize,
    },
    /// It is our turn.
    Granted {
        /// The transaction that created our contender: a number that grows from turn
        /// to turn.
        id: i64,
    },
    /// Answer to [`Event::Confirm`]: the leader of the servers knows our contender and
    /// our session, which from the question on lives for its whole timeout.
    Confirmed,
    /// Answer to [`Event::Confirm`]: it can't be said now.
    Unconfirmed,
    /// It was asked for, waited for or held, and is not any more: the session is over,
    /// or somebody deleted the contender. The owner has to ask again.
    Lost,
    /// It is given back: no contender of ours is left.
    Left,
    /// Somebody in the group lets another number of members hold a permit at once.
    /// Told once.
    UnequalHolders {
        /// The number that we allow.
        ours: NonZeroU32,
        /// The number that they allow.
        theirs: NonZeroU32,
    },
    /// ZooKeeper refuses what is needed. It is tried again; told once until it works.
    Refused(SessionError),
}
