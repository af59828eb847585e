//! Events for the permit, and its actions and news.

use super::request::{Answer, Request};
use crate::session::{self, SessionError};
use std::num::NonZeroU32;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Something happened to the session.
    Session(session::Event),
    /// A request was answered.
    Answered(Answer),
    /// The owner wants a permit.
    Ask {
        /// The reason, for other people to read.
        why: String,
    },
    /// Whether the owner needs the head of the queue for now, however many may hold a permit. A
    /// permit that is held and no longer counts is granted again when it does.
    NeedHead(bool),
    /// The owner is about to do what only a holder may, and wants proof that it holds the permit.
    /// Answered once, unless the permit is lost or given back first.
    Confirm,
    /// The owner does not want the permit any more, whether it waits for it or holds it.
    GiveBack,
    /// The deadline has passed.
    Tick,
}

/// What to do.
pub type Action = session::Action<Request, News>;

/// What has changed.
#[derive(Debug, Clone)]
pub enum News {
    /// We wait in the queue.
    Waiting {
        /// How many contenders come before ours, holders included. It is counted again only when
        /// one of the nearest goes, not for each one far ahead.
        ahead: usize,
    },
    /// We hold the permit.
    Granted {
        /// The zxid of the create of our contender, which grows from turn to turn.
        id: i64,
    },
    /// Answer to [`Event::Confirm`]: the ZooKeeper leader knows our contender and our session,
    /// which lives for its whole timeout from the time of the request.
    Confirmed,
    /// Answer to [`Event::Confirm`]: there is no proof now.
    Unconfirmed,
    /// The request for the permit, or the permit, is lost: the session is over, or somebody
    /// deleted the contender. The owner has to ask again.
    Lost,
    /// The permit is given back: we have no contender any more.
    Left,
    /// Another member lets a different number of members hold a permit at once. Reported once.
    UnequalHolders {
        /// Our number.
        ours: NonZeroU32,
        /// The number of the other member.
        theirs: NonZeroU32,
    },
    /// ZooKeeper refuses a request. It is tried again, and reported once until it works.
    Refused(SessionError),
}
