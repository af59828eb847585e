//! What a machine is told that keeps a picture of znodes.

use super::{Event, Hint};

/// What happened, to a machine that reads znodes and keeps what it read fresh; `A` are
/// the answers to its own requests.
#[derive(Debug)]
pub enum ReaderEvent<A> {
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
    Answered(A),
    /// Somebody wants everything read again.
    Refresh,
    /// The deadline has passed.
    Tick,
}

impl<A> ReaderEvent<A> {
    /// What an event of the session is to such a machine.
    #[must_use]
    pub fn of_session(event: &Event) -> Option<Self> {
        match event {
            Event::Connected { is_new, .. } => Some(Self::Connected { is_new: *is_new }),
            Event::Suspended(_) | Event::Lost => Some(Self::Away),
            Event::Hint(hint) => Some(Self::Hint(hint.clone())),
            Event::GaveUp(_) | Event::AuthRefused(_) => None,
        }
    }
}
