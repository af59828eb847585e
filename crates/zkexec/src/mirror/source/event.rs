//! What goes into the source and what comes out of it.

use super::{Answer, Request, Unreadable};
use crate::mirror::Content;
use farm_core::codec::dir::Refusal;
use farm_core::session::{ReaderEvent, ZnodePath};

/// What happened.
pub(crate) type Event = ReaderEvent<Answer>;

/// What has to be done.
#[derive(Debug)]
pub(crate) enum Action {
    /// Ask this, and bring the answer back.
    Ask(Request),
    /// This is known now.
    Tell(News),
}

/// What is known now.
#[derive(Debug)]
pub(crate) enum News {
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
