//! The requests of the permit to ZooKeeper, and the answers.
//!
//! **Invariant.** Each request can be repeated after any failure: the owners of the contenders show
//! what an earlier attempt has done.

use super::contender_info::ContenderInfo;
use super::group::GroupName;
use super::queue::{Contender, Queue};
use crate::engine::unix_ms;
use crate::session::{Client, Session, SessionError, SessionId, Stat, Watch, ZnodePath};
use std::num::NonZeroU32;

/// How often the directory is created again when others remove it.
const RACES_MAX: usize = 20;

/// A request to ZooKeeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(super) ticket: u64,
    pub(super) group: GroupName,
    pub(super) ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Create a contender, and the directory if it is missing.
    Create(ContenderInfo),
    /// Look for contenders of this session, and delete all but one.
    Find(SessionId),
    /// Look whether our contender exists, and leave a watch; list the queue too, if wanted.
    Look(Contender, ListQueue),
    /// Read the info of these.
    Read(Vec<Contender>, Watch),
    /// Delete our contender.
    Delete(Contender),
    /// Have the leader check our contender, and with it our session.
    Prove(Contender),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListQueue {
    Yes,
    No,
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer {
    pub(super) ticket: u64,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Create(Result<Contender, SessionError>),
    Find(Result<Option<Contender>, SessionError>),
    /// The contender, if it exists, and the queue, if that was wanted.
    Look(Result<Option<(Stat, Queue)>, SessionError>),
    Read(Result<Vec<Neighbour>, SessionError>),
    Delete(Result<(), SessionError>),
    Prove(Result<(), SessionError>),
}

/// A contender before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) contender: Contender,
    pub(super) presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Gone,
    /// It exists, and we may not read it: no server tells us when it goes.
    Hidden,
    /// It exists; `holders` is how many it lets hold a permit, if it says so.
    There {
        holders: Option<NonZeroU32>,
    },
}

impl Request {
    /// Runs on a request thread, which calls `post` with the answer.
    pub fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| post(self.perform(client)));
    }

    fn perform(self, client: &Client) -> Answer {
        let Self { ticket, group, ask } = self;
        let outcome = match ask {
            Ask::Create(info) => Outcome::Create(create(client, &group, info)),
            Ask::Find(session) => Outcome::Find(find(client, &group, session)),
            Ask::Look(contender, list_queue) => {
                Outcome::Look(look(client, &group, &contender, list_queue))
            }
            Ask::Read(contenders, watch) => Outcome::Read(
                contenders
                    .into_iter()
                    .map(|contender| read(client, &group, contender, watch))
                    .collect(),
            ),
            Ask::Delete(contender) => Outcome::Delete(delete(client, &group, &contender)),
            Ask::Prove(contender) => Outcome::Prove(prove(client, &group, &contender)),
        };
        Answer { ticket, outcome }
    }
}

fn path_of(group: &GroupName, contender: &Contender) -> Result<ZnodePath, SessionError> {
    let directory = group.directory();
    // Only a path that is too long fails, and no server has shown us such a znode.
    directory.child(contender.name()).map_err(|_| SessionError::NoNode(directory.clone()))
}

fn create(
    client: &Client,
    group: &GroupName,
    info: ContenderInfo,
) -> Result<Contender, SessionError> {
    let bytes = ContenderInfo { since_ms: unix_ms(), ..info }.bytes();
    for _ in 0..RACES_MAX {
        match client.create_sequential(group.prefix(), &bytes) {
            Ok(path) => {
                let contender = path.name().and_then(Contender::parse);
                return contender.ok_or(SessionError::Garbled(path));
            }
            // A member written in Ruby removes the directory when it is the last in the queue.
            Err(SessionError::NoNode(_)) => client.create_all(group.directory())?,
            Err(error) => return Err(error),
        }
    }
    Err(SessionError::NoNode(group.directory().clone()))
}

fn find(
    client: &Client,
    group: &GroupName,
    session: SessionId,
) -> Result<Option<Contender>, SessionError> {
    // The server that answers our reads may not know yet of a create that we sent to another one.
    match client.exists_at_leader(group.directory()) {
        Err(error) if error.is_transient() => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let mut found = None;
    for contender in list(client, group)?.places() {
        let path = path_of(group, contender)?;
        let owner = client.exists(&path, Watch::No)?.map(|stat| stat.ephemeral_owner);
        if owner != Some(session.0) {
            continue;
        }
        if found.is_none() {
            found = Some(contender.clone());
        } else {
            delete(client, group, contender)?;
        }
    }
    Ok(found)
}

/// The server that answers a read or a ping may have lost the leader, and the leader expires
/// sessions.
fn prove(client: &Client, group: &GroupName, contender: &Contender) -> Result<(), SessionError> {
    let path = path_of(group, contender)?;
    if client.exists_at_leader(&path)? { Ok(()) } else { Err(SessionError::NoNode(path)) }
}

fn look(
    client: &Client,
    group: &GroupName,
    contender: &Contender,
    list_queue: ListQueue,
) -> Result<Option<(Stat, Queue)>, SessionError> {
    let Some(stat) = client.exists(&path_of(group, contender)?, Watch::Yes)? else {
        return Ok(None);
    };
    let queue = match list_queue {
        ListQueue::Yes => list(client, group)?,
        ListQueue::No => Queue::default(),
    };
    Ok(Some((stat, queue)))
}

/// The queue, without names that are too long for a path.
fn list(client: &Client, group: &GroupName) -> Result<Queue, SessionError> {
    match client.children(group.directory(), Watch::No) {
        Ok(mut names) => {
            names.retain(|name| group.directory().child(name).is_ok());
            Ok(Queue::of(names))
        }
        Err(SessionError::NoNode(_)) => Ok(Queue::default()),
        Err(error) => Err(error),
    }
}

fn read(
    client: &Client,
    group: &GroupName,
    contender: Contender,
    watch: Watch,
) -> Result<Neighbour, SessionError> {
    let path = path_of(group, &contender)?;
    let presence = match client.get(&path, watch) {
        Ok(znode) if znode.data.is_empty() => {
            // The gem's locks have one holder and no content.
            Presence::There { holders: Some(NonZeroU32::MIN) }
        }
        Ok(znode) => Presence::There { holders: ContenderInfo::read(&znode.data).holders },
        Err(SessionError::NoNode(_)) => Presence::Gone,
        // exists() needs no permission to read.
        Err(SessionError::NoAuth(_)) => match client.exists(&path, watch)? {
            Some(_) => Presence::Hidden,
            None => Presence::Gone,
        },
        Err(error) => return Err(error),
    };
    Ok(Neighbour { contender, presence })
}

fn delete(client: &Client, group: &GroupName, contender: &Contender) -> Result<(), SessionError> {
    match client.delete(&path_of(group, contender)?, None) {
        Ok(()) | Err(SessionError::NoNode(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
