//! What goes into the source and what comes out of it.

use super::{Answer, Request, Unreadable};
use crate::mirror::Content;
use farm_core::codec::dir::Refusal;
use farm_core::session::{self, Hint, ZnodePath};

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
    /// What an event of the session is to a source.
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
    /// Everything was read since the latest contact, or since it was wanted again.
    Complete(Content),
    /// After [`News::Complete`]: something else is there now.
    Changed(Content),
    /// A znode that is needed has never been there. It is told once, and waited for.
    Missing(ZnodePath),
    /// A znode is gone; what it held last stays in the content.
    Deleted(ZnodePath),
    /// From now on this can't be read; what it held last stays in the content.
    Unreadable(ZnodePath, Unreadable),
    /// A znode of a subtree whose name can't be a file's; it is left out.
    Skipped(ZnodePath, Refusal),
    /// The first znode of a subtree with children and bytes; the bytes are left out.
    Overlooked(ZnodePath),
}
