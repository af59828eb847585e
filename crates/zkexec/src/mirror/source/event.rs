//! What goes into the source and what comes out of it.

use crate::mirror::Content;
use farm_core::codec::dir::Refusal as NameRefusal;
use farm_core::session::cache::{self, Refusal};
use farm_core::session::{self, ReaderEvent, Session, ZnodePath};
use std::sync::Arc;

/// What happened.
pub(crate) type Event = ReaderEvent<Answer>;

/// A request for one of the znodes or subtrees.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(super) unit: usize,
    pub(super) request: cache::Request<Arc<[u8]>>,
}

/// An answer to it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) unit: usize,
    pub(super) answer: cache::Answer<Arc<[u8]>>,
}

impl Request {
    /// Has a courier ask; `post` is called with the answer, on its thread.
    pub(crate) fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        let Self { unit, request } = self;
        request.dispatch(session, move |answer| post(Answer { unit, answer }));
    }
}

/// What has to be done.
pub(crate) type Action = session::Action<Request, News>;

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
    Unreadable(ZnodePath, Refusal),
    /// A znode of a subtree whose name can't be a file's; it is left out.
    Skipped(ZnodePath, NameRefusal),
    /// The first znode of a subtree with children and bytes; the bytes are left out.
    Overlooked(ZnodePath),
}
