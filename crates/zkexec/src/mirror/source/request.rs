//! What the source asks ZooKeeper, and the answers.

use super::walk::{Maybe, Nodes, walk};
use farm_core::cli::{Exit, Failure};
use farm_core::session::{Client, Session, SessionError, Watch, ZnodePath};
use std::fmt;
use std::sync::Arc;

/// As many znodes may a subtree have.
pub(super) const ZNODES_MAX: usize = 10_000;
/// As many bytes may they hold together.
pub(super) const BYTES_MAX: usize = 64 << 20;

/// Something to ask ZooKeeper on behalf of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) unit: usize,
    pub(super) ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Read one znode and leave a watch, whether it is there or not.
    Read(ZnodePath),
    /// Set the one watch on a subtree and all that comes into it.
    Arm(ZnodePath),
    /// Read a whole subtree.
    Walk(ZnodePath, Watch),
    /// Read one znode of a subtree.
    Look(ZnodePath, Watch),
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) unit: usize,
    pub(super) outcome: Outcome,
}

/// The bytes of a znode.
pub(super) type Found = Maybe<Arc<[u8]>>;

#[derive(Debug)]
pub(super) enum Outcome {
    Read(Found),
    Arm(Result<(), SessionError>),
    Walk(Result<Option<Nodes>, Unreadable>),
    Look(ZnodePath, Found),
}

/// Why something can't be mirrored now.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// ZooKeeper does not hand it out.
    Refused(SessionError),
    /// A subtree has more znodes than this.
    TooMany(usize),
    /// A subtree holds more bytes than this.
    TooLarge(usize),
}

impl Unreadable {
    /// Whether it may well be read later, with no change on anybody's side.
    pub(super) const fn is_transient(&self) -> bool {
        match self {
            Self::Refused(error) => error.is_transient(),
            Self::TooMany(_) | Self::TooLarge(_) => false,
        }
    }
}

impl Unreadable {
    /// Is it hopeless until somebody changes something on purpose?
    #[must_use]
    pub(crate) const fn is_permanent(&self) -> bool {
        match self {
            Self::Refused(error) => matches!(error, SessionError::NoAuth(_)),
            Self::TooMany(_) | Self::TooLarge(_) => true,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::TooMany(max) => write!(f, "more than {max} znodes"),
            Self::TooLarge(max) => write!(f, "more than {max} bytes"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<SessionError> for Unreadable {
    fn from(error: SessionError) -> Self {
        Self::Refused(error)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        match error {
            Unreadable::Refused(error) => error.into(),
            Unreadable::TooMany(_) | Unreadable::TooLarge(_) => {
                Self::new(Exit::Configuration, error.to_string())
            }
        }
    }
}

impl Request {
    /// Has a courier ask; `post` is called with the answer, on its thread.
    pub(crate) fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| post(self.perform(client)));
    }

    fn perform(self, client: &Client) -> Answer {
        let Self { ticket, session, unit, ask } = self;
        let outcome = match ask {
            Ask::Read(path) => Outcome::Read(read(client, &path)),
            Ask::Arm(top) => Outcome::Arm(client.watch_tree(&top)),
            Ask::Walk(top, watch) => Outcome::Walk(subtree(client, &top, watch)),
            Ask::Look(path, watch) => {
                let found = look(client, &path, watch);
                Outcome::Look(path, found)
            }
        };
        Answer { ticket, session, unit, outcome }
    }
}

/// Reads a znode, and leaves a watch in every case that somebody may change.
fn read(client: &Client, path: &ZnodePath) -> Found {
    match look(client, path, Watch::Yes) {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Err(error) if error.is_transient() => Err(error),
        refused_or_missing => match client.exists(path, Watch::Yes)? {
            None => Ok(None),
            // It came this very moment. If it goes again, the new watch tells.
            Some(_) if refused_or_missing.is_ok() => look(client, path, Watch::Yes),
            Some(_) => refused_or_missing,
        },
    }
}

fn look(client: &Client, path: &ZnodePath, watch: Watch) -> Found {
    Ok(missing_is_none(client.get(path, watch))?.map(|znode| znode.data.into()))
}

/// Reads a subtree. With [`Watch::Yes`] every znode and every list of children is
/// watched, and the missing top too.
fn subtree(client: &Client, top: &ZnodePath, watch: Watch) -> Result<Option<Nodes>, Unreadable> {
    let list = |path: &ZnodePath| missing_is_none(client.children(path, watch));
    let get = |path: &ZnodePath| missing_is_none(client.get(path, watch));
    let nodes = walk(top, watch == Watch::Yes, list, get)?;
    if nodes.is_some() || client.exists(top, watch)?.is_none() {
        return Ok(nodes);
    }
    // It came this very moment. If it goes again, the new watch tells.
    walk(top, watch == Watch::Yes, list, get)
}

fn missing_is_none<T>(answer: Result<T, SessionError>) -> Maybe<T> {
    match answer {
        Ok(there) => Ok(Some(there)),
        Err(SessionError::NoNode(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
