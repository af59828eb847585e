//! The events of a machine that keeps what it read up to date.

use super::Event;

/// What happened, for a machine that reads znodes and keeps what it read up to date; `A`
/// are the answers to its own requests.
#[derive(Debug)]
pub enum ReaderEvent<A> {
    /// Something happened to the session.
    Session(Event),
    /// A request was answered.
    Answered(A),
    /// Everything has to be read again.
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
