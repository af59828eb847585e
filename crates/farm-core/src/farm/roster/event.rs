//! What goes into the roster and what comes out of it.

use super::{Answer, Request, Unreadable};
use crate::model::{HostName, HostNameError};
use crate::session::{ReaderEvent, SessionError};

/// What happened.
pub type Event = ReaderEvent<Answer>;

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
