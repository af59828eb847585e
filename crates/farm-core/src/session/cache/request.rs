//! The requests of a cache, and their answers.

use crate::session::{Client, Session, SessionError, Watch, Znode, ZnodePath};
use std::sync::Arc;

/// Turns the bytes of a znode into what a cache keeps, and how many bytes that counts as.
pub type Decode<V> = fn(Vec<u8>) -> (V, usize);

/// A request of a cache.
#[derive(Debug, Clone)]
pub struct Request<V> {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) ask: Arc<Ask>,
    pub(super) decode: Decode<V>,
}

/// What is requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Set the persistent recursive watch on the top.
    Arm(ZnodePath),
    /// Check whether the top exists, and leave a watch in either case.
    Await(ZnodePath),
    /// List the children of a znode.
    List(ZnodePath, Watch),
    /// Read these znodes; more than one only without a watch.
    Read(Vec<ZnodePath>, Watch),
}

/// An answer to a [`Request`].
#[derive(Debug)]
pub struct Answer<V> {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) outcome: Outcome<V>,
}

/// A znode that was read.
#[derive(Debug)]
pub struct Found<V> {
    /// The znode, with its data decoded.
    pub znode: Znode<V>,
    /// How many bytes of it are kept.
    pub bytes: usize,
}

/// The outcome of a request, one variant for each of [`Ask`].
#[derive(Debug)]
pub enum Outcome<V> {
    /// Whether the watch is set.
    Arm(Result<(), SessionError>),
    /// Whether the top exists.
    Await(Result<bool, SessionError>),
    /// The names of the children.
    List(Result<Vec<String>, SessionError>),
    /// One for each path of the request, in its order.
    Read(Vec<Result<Found<V>, SessionError>>),
}

impl<V> Request<V> {
    /// Makes the request on a request thread, and calls `post` with the answer there.
    pub fn dispatch(self, session: &Session, post: impl FnOnce(Answer<V>) + Send + 'static)
    where
        V: 'static,
    {
        session.dispatch(move |client| post(self.perform(client)));
    }

    /// What is requested.
    #[must_use]
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// The answer to it.
    #[must_use]
    pub const fn answer(&self, outcome: Outcome<V>) -> Answer<V> {
        Answer { ticket: self.ticket, session: self.session, outcome }
    }

    pub(super) fn perform(&self, client: &Client) -> Answer<V> {
        let outcome = match &*self.ask {
            Ask::Arm(top) => Outcome::Arm(client.watch_tree(top)),
            Ask::Await(top) => {
                Outcome::Await(client.exists(top, Watch::Yes).map(|stat| stat.is_some()))
            }
            Ask::List(path, watch) => Outcome::List(client.children(path, *watch)),
            Ask::Read(paths, watch) => Outcome::Read(self.read(client, paths, *watch)),
        };
        self.answer(outcome)
    }

    fn read(
        &self,
        client: &Client,
        paths: &[ZnodePath],
        watch: Watch,
    ) -> Vec<Result<Found<V>, SessionError>> {
        let read = match (watch, paths) {
            (Watch::No, [_, _, ..]) => client.get_many(paths),
            _ => Ok(paths.iter().map(|path| client.get(path, watch)).collect()),
        };
        // An error of the connection is the outcome of each read.
        let read = read.unwrap_or_else(|error| vec![Err(error); paths.len()]);
        read.into_iter().map(|read| read.map(|znode| self.found(znode))).collect()
    }

    /// Decodes on the request thread, so that several threads share the work of a large
    /// farm.
    fn found(&self, Znode { data, stat }: Znode) -> Found<V> {
        let (data, bytes) = (self.decode)(data);
        Found { znode: Znode { data, stat }, bytes }
    }
}

impl<V> Answer<V> {
    /// The first error of the connection.
    pub(super) fn connection_error(&self) -> Option<&SessionError> {
        let error = match &self.outcome {
            Outcome::Arm(answer) => answer.as_ref().err(),
            Outcome::Await(answer) => answer.as_ref().err(),
            Outcome::List(answer) => answer.as_ref().err(),
            Outcome::Read(read) => {
                let mut errors = read.iter().filter_map(|found| found.as_ref().err());
                errors.find(|error| error.is_transient())
            }
        };
        error.filter(|error| error.is_transient())
    }
}
