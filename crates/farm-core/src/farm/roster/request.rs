//! What the roster asks ZooKeeper, and the answers.

use crate::codec::DecodeError;
use crate::codec::json::decode_znode;
use crate::model::{HostName, Record};
use crate::session::{Client, Session, SessionError, Watch, Znode, ZnodePath};
use std::fmt;

/// Something to ask ZooKeeper on behalf of a roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Set the one watch on the farm and all below it.
    Arm(ZnodePath),
    /// Look whether the farm is there, and leave a watch.
    Await(ZnodePath),
    /// List its hosts.
    List(ZnodePath, Watch),
    /// Read these hosts; more than one only where no watch is wanted.
    Read(Vec<(HostName, ZnodePath)>, Watch),
}

/// What has to be asked again: a change of an access list is never announced.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Late {
    /// The farm itself.
    Farm,
    /// One of its hosts.
    Host(HostName),
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub(super) ticket: u64,
    pub(super) session: u64,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Arm(Result<(), SessionError>),
    Await(Result<bool, SessionError>),
    List(Result<Vec<String>, SessionError>),
    Read(Vec<(HostName, Result<Record, Unreadable>)>),
}

/// Why a host has no readable record.
#[derive(Debug)]
pub enum Unreadable {
    /// Its bytes are no record.
    Malformed(DecodeError),
    /// ZooKeeper does not hand them out.
    Refused(SessionError),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(_) => f.write_str("it holds no record"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Unreadable {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl Request {
    /// Has a courier ask; `post` is called with the answer, on its thread.
    pub fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| post(self.perform(client)));
    }

    fn perform(self, client: &Client) -> Answer {
        let Self { ticket, session, ask } = self;
        let outcome = match ask {
            Ask::Arm(farm) => Outcome::Arm(client.watch_tree(&farm)),
            Ask::Await(farm) => {
                Outcome::Await(client.exists(&farm, Watch::Yes).map(|stat| stat.is_some()))
            }
            Ask::List(farm, watch) => Outcome::List(client.children(&farm, watch)),
            Ask::Read(hosts, watch) => Outcome::Read(read(client, hosts, watch)),
        };
        Answer { ticket, session, outcome }
    }
}

fn read(
    client: &Client,
    hosts: Vec<(HostName, ZnodePath)>,
    watch: Watch,
) -> Vec<(HostName, Result<Record, Unreadable>)> {
    let (names, paths): (Vec<HostName>, Vec<ZnodePath>) = hosts.into_iter().unzip();
    let read = match (watch, &paths[..]) {
        (Watch::No, [_, _, ..]) => client.get_many(&paths),
        _ => Ok(paths.iter().map(|path| client.get(path, watch)).collect()),
    };
    // What the link says is true for each of them.
    let read = read.unwrap_or_else(|error| vec![Err(error); names.len()]);
    let record = |read: Result<Znode, SessionError>| {
        // On the courier, so that a large farm is parsed by many threads.
        decode_znode(&read.map_err(Unreadable::Refused)?.data).map_err(Unreadable::Malformed)
    };
    names.into_iter().zip(read.into_iter().map(record)).collect()
}
