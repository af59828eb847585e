//! The events, actions and news of the source.

use crate::mirror::Content;
use farm_core::codec::dir::Refusal as NameRefusal;
use farm_core::session::cache::{self, Refusal};
use farm_core::session::{self, ReaderEvent, Session, ZnodePath};
use std::sync::Arc;

/// An event for the source.
pub(crate) type Event = ReaderEvent<Answer>;

/// A request to read one of the znodes or subtrees.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(super) unit: usize,
    pub(super) request: cache::Request<Arc<[u8]>>,
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) unit: usize,
    pub(super) answer: cache::Answer<Arc<[u8]>>,
}

impl Request {
    /// Sends the request; a request thread calls `post` with the answer.
    pub(crate) fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        let Self { unit, request } = self;
        request.dispatch(session, move |answer| post(Answer { unit, answer }));
    }
}

/// An action for the runner to perform.
pub(crate) type Action = session::Action<Request, News>;

/// A change in what is known about the mirrors.
#[derive(Debug)]
pub(crate) enum News {
    /// Everything was read since the latest connection or the latest [`Event::Refresh`].
    Complete(Content),
    /// After [`News::Complete`]: the content has changed.
    Changed(Content),
    /// A required znode has never existed. Reported once; the source waits for it.
    Missing(ZnodePath),
    /// A znode was deleted; its last bytes stay in the content.
    Deleted(ZnodePath),
    /// A znode or subtree can no longer be read; its last bytes stay in the content.
    Unreadable(ZnodePath, Refusal),
    /// It can be read again.
    Readable(ZnodePath),
    /// A znode of a subtree is left out, because its name can't be a file name.
    Skipped(ZnodePath, NameRefusal),
    /// A znode of a subtree has children as well as bytes, and the bytes are left out. Reported
    /// for the first one only.
    BytesIgnored(ZnodePath),
}
