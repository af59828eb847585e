//! What a machine is told that keeps a picture of znodes.

use super::Event;

/// What happened, to a machine that reads znodes and keeps what it read fresh; `A` are
/// the answers to its own requests.
#[derive(Debug)]
pub enum ReaderEvent<A> {
    /// Something happened to the session.
    Session(Event),
    /// A request was answered.
    Answered(A),
    /// Somebody wants everything read again.
    Refresh,
    /// The deadline has passed.
    Tick,
}

#[cfg(test)]
impl<A> ReaderEvent<A> {
    pub(crate) fn connected(is_new: bool) -> Self {
        Self::Session(Event::connected(1, is_new))
    }

    pub(crate) fn away() -> Self {
        Self::Session(Event::suspended())
    }

    pub(crate) fn hint(path: super::ZnodePath, change: super::Change) -> Self {
        Self::Session(Event::Hint(super::Hint { path, change }))
    }
}

#[cfg(test)]
impl Event {
    pub(crate) fn connected(session: i64, is_new: bool) -> Self {
        let granted = std::time::Duration::from_secs(10);
        Self::Connected { session: super::SessionId(session), is_new, granted }
    }

    pub(crate) const fn suspended() -> Self {
        Self::Suspended(super::DownReason::HungUp)
    }
}
