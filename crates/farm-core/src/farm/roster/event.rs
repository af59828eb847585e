//! What goes into the roster and what comes out of it.

use super::{Answer, Request, Unreadable};
use crate::model::{HostName, HostNameError};
use crate::session::{self, Hint, SessionError};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A server carries the session.
    Connected {
        /// Whether the session is a new one.
        is_new: bool,
    },
    /// No server carries it.
    Away,
    /// A watched znode changed.
    Hint(Hint),
    /// A request was answered.
    Answered(Answer),
    /// Somebody wants everything read again.
    Refresh,
    /// The deadline has passed.
    Tick,
}

impl Event {
    /// What an event of the session is to a roster.
    #[must_use]
    pub fn of_session(event: &session::Event) -> Option<Self> {
        match event {
            session::Event::Connected { is_new, .. } => Some(Self::Connected { is_new: *is_new }),
            session::Event::Suspended | session::Event::Lost => Some(Self::Away),
            session::Event::Hint(hint) => Some(Self::Hint(hint.clone())),
            session::Event::GaveUp(_) | session::Event::AuthRefused(_) => None,
        }
    }
}

/// What has to be done.
#[derive(Debug)]
pub enum Action {
    /// Ask this, and bring the answer back.
    Ask(Request),
    /// This is known now.
    Tell(News),
}

/// What is known now.
#[derive(Debug)]
pub enum News {
    /// This host came, went or has another record; [`farm`](super::Roster::farm) says which.
    Changed(HostName),
    /// Every host has been read: [`farm`](super::Roster::farm) is the farm.
    Complete,
    /// There is no such farm.
    Missing,
    /// The farm can't be listed; it is tried again.
    Refused(SessionError),
    /// From now on this host can't be read.
    Unreadable(HostName, Unreadable),
    /// A znode that is no host, because of its name.
    Skipped(String, HostNameError),
}

/// How much is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No contact: what was read may be out of date.
    Away,
    /// Listing and reading.
    Loading,
    /// There is no such farm.
    Missing,
    /// The farm can't be listed.
    Refused,
    /// All there is.
    Complete,
}
