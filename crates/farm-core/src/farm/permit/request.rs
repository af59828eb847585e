//! What the permit asks ZooKeeper, and the answers.
//!
//! **Invariant.** Each request can be made again after any failure: one that was left
//! half done is found by whoever looks at the owners of the contenders.

use super::contender_info::ContenderInfo;
use super::group::GroupName;
use super::queue::{Contender, Queue};
use crate::session::{Client, Session, SessionError, SessionId, Stat, Watch, ZnodePath};
use std::num::NonZeroU32;
use std::time::{SystemTime, UNIX_EPOCH};

/// How often the directory is created anew when others remove it.
const RACES_MAX: usize = 20;

/// A version that no znode has: to delete it fails, once everything before it is done.
const NO_VERSION: i32 = -2;

/// Something to ask ZooKeeper on behalf of a permit.
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
    /// Look for contenders of this session, and leave one at most.
    Find(SessionId),
    /// Look whether our contender is there, and leave a watch; list who is in line
    /// too, if asked for.
    Look(Contender, Lineup),
    /// Read the cards of these.
    Read(Vec<Contender>, Watch),
    /// Delete our contender.
    Delete(Contender),
    /// Have the leader look at our contender, and so at our session.
    Prove(Contender),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lineup {
    Wanted,
    Unwanted,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub(super) ticket: u64,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Create(Result<Contender, SessionError>),
    Find(Result<Option<Contender>, SessionError>),
    /// The contender, if it is there; who is in line, if that was wanted.
    Look(Result<Option<(Stat, Queue)>, SessionError>),
    Read(Result<Vec<Neighbour>, SessionError>),
    Delete(Result<(), SessionError>),
    Prove(Result<(), SessionError>),
}

/// Somebody who comes before us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) place: Contender,
    pub(super) presence: Presence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Gone,
    /// There, with a card that says how many may hold a permit, if it says so.
    There {
        holders: Option<NonZeroU32>,
    },
}

impl Request {
    /// Has a courier ask; `post` is called with the answer, on its thread.
    pub fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        session.dispatch(move |client| post(self.perform(client)));
    }

    fn perform(self, client: &Client) -> Answer {
        let Self { ticket, group, ask } = self;
        let outcome = match ask {
            Ask::Create(card) => Outcome::Create(create(client, &group, card)),
            Ask::Find(session) => Outcome::Find(find(client, &group, session)),
            Ask::Look(place, lineup) => Outcome::Look(look(client, &group, &place, lineup)),
            Ask::Read(places, watch) => Outcome::Read(
                places.into_iter().map(|place| read(client, &group, place, watch)).collect(),
            ),
            Ask::Delete(place) => Outcome::Delete(delete(client, &group, &place)),
            Ask::Prove(place) => Outcome::Prove(prove(client, &group, &place)),
        };
        Answer { ticket, outcome }
    }
}

fn path_of(group: &GroupName, place: &Contender) -> Result<ZnodePath, SessionError> {
    let directory = group.directory();
    // Longer than a path can be: no server has shown us such a znode.
    directory.child(place.name()).map_err(|_| SessionError::NoNode(directory.clone()))
}

fn create(
    client: &Client,
    group: &GroupName,
    card: ContenderInfo,
) -> Result<Contender, SessionError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let since_ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    let bytes = ContenderInfo { since_ms, ..card }.bytes();
    for _ in 0..RACES_MAX {
        match client.create_sequential(group.prefix(), &bytes) {
            Ok(path) => {
                let place = path.name().and_then(Contender::parse);
                return place.ok_or(SessionError::Garbled(path));
            }
            // A member written in Ruby removes the directory when it is the last one.
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
    // Reads are answered by one server, which may not have heard of a create that
    // another one took for us. What goes through the leader comes back after it.
    match client.delete(group.directory(), Some(NO_VERSION)) {
        Err(error) if error.is_transient() => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut found = None;
    for place in list(client, group)?.places() {
        let path = path_of(group, place)?;
        let owner = client.exists(&path, Watch::No)?.map(|stat| stat.ephemeral_owner);
        if owner != Some(session.0) {
            continue;
        }
        if found.is_none() {
            found = Some(place.clone());
        } else {
            delete(client, group, place)?;
        }
    }
    Ok(found)
}

/// A read, and even a ping, is answered by a server that may have lost its leader, and
/// the leader ends sessions. It takes every write; this one is refused for its version
/// once the session is known to live and the contender to be there.
fn prove(client: &Client, group: &GroupName, place: &Contender) -> Result<(), SessionError> {
    match client.delete(&path_of(group, place)?, Some(NO_VERSION)) {
        Ok(()) | Err(SessionError::BadVersion(_) | SessionError::NoAuth(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn look(
    client: &Client,
    group: &GroupName,
    place: &Contender,
    lineup: Lineup,
) -> Result<Option<(Stat, Queue)>, SessionError> {
    let Some(stat) = client.exists(&path_of(group, place)?, Watch::Yes)? else { return Ok(None) };
    let line = match lineup {
        Lineup::Wanted => list(client, group)?,
        Lineup::Unwanted => Queue::default(),
    };
    Ok(Some((stat, line)))
}

/// Who is in line. Names that no path of ours can reach are left out.
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
    place: Contender,
    watch: Watch,
) -> Result<Neighbour, SessionError> {
    let path = path_of(group, &place)?;
    let presence = match client.get(&path, watch) {
        Ok(znode) if znode.data.is_empty() => {
            // The gem's locks have one holder, and nothing to say.
            Presence::There { holders: Some(NonZeroU32::MIN) }
        }
        Ok(znode) => Presence::There { holders: ContenderInfo::read(&znode.data).holders },
        Err(SessionError::NoNode(_)) => Presence::Gone,
        // Whether it is there is no secret.
        Err(SessionError::NoAuth(_)) => match client.exists(&path, watch)? {
            Some(_) => Presence::There { holders: None },
            None => Presence::Gone,
        },
        Err(error) => return Err(error),
    };
    Ok(Neighbour { place, presence })
}

fn delete(client: &Client, group: &GroupName, place: &Contender) -> Result<(), SessionError> {
    match client.delete(&path_of(group, place)?, None) {
        Ok(()) | Err(SessionError::NoNode(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
