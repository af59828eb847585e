//! The requests about the state of a group.
//!
//! **Invariant.** Each change can be made again after a lost answer: the record shows what an
//! earlier attempt has done.

use super::control::Control;
use super::paths::StatePaths;
use super::prune::prune;
use super::verdict::{
    self, Trial, TryOutcome, VersionRecord, begin_try, confirm, refuse, untouched,
};
use super::version::Version;
use crate::codec::json::decode_znode;
use crate::engine::unix_ms;
use crate::session::cache;
use crate::session::{Client, CreateMode, Session, SessionError, Stat, Watch, ZnodePath};

/// How often a change is made again when others are quicker.
const RACES_MAX: usize = 20;

/// A request to ZooKeeper.
#[derive(Debug)]
pub struct Request(Ask);

#[derive(Debug)]
enum Ask {
    Control(cache::Request<Control>),
    Version(Version, cache::Request<Option<VersionRecord>>),
    Change(u64, ChangeRequest),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Answer(pub(super) Reply);

#[derive(Debug)]
pub(super) enum Reply {
    Control(cache::Answer<Control>),
    Version(Version, cache::Answer<Option<VersionRecord>>),
    Changed { ticket: u64, outcome: Result<Outcome, SessionError> },
}

/// A change of the record of a version.
#[derive(Debug, Clone)]
pub(super) struct ChangeRequest {
    pub(super) paths: StatePaths,
    pub(super) id: String,
    pub(super) version: Version,
    pub(super) change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Try(Trial),
    Untouched(Trial),
    Confirm(Trial),
    Refuse { trial: Trial, round: u64, reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Allowed {
        round: u64,
    },
    Refused,
    /// An operator has paused the group or skips this member.
    Held(Control),
    Done,
}

impl Request {
    pub(super) const fn control(request: cache::Request<Control>) -> Self {
        Self(Ask::Control(request))
    }

    pub(super) fn version(
        version: Version,
    ) -> impl Fn(cache::Request<Option<VersionRecord>>) -> Self {
        move |request| Self(Ask::Version(version, request))
    }

    pub(super) const fn change(ticket: u64, change: ChangeRequest) -> Self {
        Self(Ask::Change(ticket, change))
    }

    /// Runs on a request thread, which calls `post` with the answer.
    pub fn dispatch(self, session: &Session, post: impl FnOnce(Answer) + Send + 'static) {
        match self.0 {
            Ask::Control(request) => {
                request.dispatch(session, |answer| post(Answer(Reply::Control(answer))));
            }
            Ask::Version(version, request) => {
                request
                    .dispatch(session, move |answer| post(Answer(Reply::Version(version, answer))));
            }
            Ask::Change(ticket, change) => session.dispatch(move |client| {
                let mut is_new = false;
                let outcome = change.perform(client, &mut is_new);
                post(Answer(Reply::Changed { ticket, outcome }));
                // Nobody waits for it, and the next version makes up for a failure.
                if is_new {
                    drop(prune(client, &change.paths));
                }
            }),
        }
    }
}

impl ChangeRequest {
    /// Makes the change; `is_new` tells whether that has created the version.
    fn perform(&self, client: &Client, is_new: &mut bool) -> Result<Outcome, SessionError> {
        // Twelve hex digits are always the name of a znode.
        let Ok(path) = self.paths.versions().child(&self.version.to_string()) else {
            return Ok(Outcome::Done);
        };
        for _ in 0..RACES_MAX {
            let found = read(client, &path)?;
            let (record, stat) = match &found {
                Some((record, stat)) => (record.as_ref(), Some(stat)),
                None => (None, None),
            };
            if matches!(self.change, Change::Try(_))
                && let Some(control) = self.held_by(client)?
            {
                return Ok(Outcome::Held(control));
            }
            let (outcome, replacement) = self.change.applied_to(record);
            let Some(replacement) = replacement else { return Ok(outcome) };
            match write(client, &self.paths, &path, stat, &replacement) {
                Ok(()) => {
                    *is_new = stat.is_none();
                    return Ok(outcome);
                }
                Err(
                    SessionError::BadVersion(_)
                    | SessionError::NodeExists(_)
                    | SessionError::NoNode(_),
                ) => {}
                // A member that may only read goes by what it reads.
                Err(SessionError::NoAuth(_)) if outcome == Outcome::Refused => return Ok(outcome),
                Err(error) => return Err(error),
            }
        }
        Err(SessionError::BadVersion(path))
    }

    /// The control, if it forbids a turn on this version. It is read after the version: a command
    /// that skips us is written before the refusal of the version is forgotten.
    fn held_by(&self, client: &Client) -> Result<Option<Control>, SessionError> {
        let control = match client.get(self.paths.control(), Watch::No) {
            Ok(znode) => Control::of(&decode_znode(&znode.data).unwrap_or_default()),
            Err(SessionError::NoNode(_) | SessionError::NoAuth(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_held = control.is_paused || control.skip.get(&self.id) == Some(&self.version);
        Ok(is_held.then_some(control))
    }
}

impl Change {
    /// The outcome, and the record to write, if any.
    fn applied_to(&self, found: Option<&VersionRecord>) -> (Outcome, Option<VersionRecord>) {
        let at_ms = unix_ms();
        match self {
            Self::Try(trial) => {
                let (outcome, record) = begin_try(found, trial, at_ms);
                let outcome = match outcome {
                    TryOutcome::Allowed { round } => Outcome::Allowed { round },
                    TryOutcome::Refused => Outcome::Refused,
                };
                (outcome, record)
            }
            Self::Untouched(trial) => (Outcome::Done, untouched(found, trial)),
            Self::Confirm(trial) => (Outcome::Done, confirm(found, trial, at_ms)),
            Self::Refuse { trial, round, reason } => {
                (Outcome::Done, refuse(found, trial, *round, reason, at_ms))
            }
        }
    }
}

type Found = Option<(Option<VersionRecord>, Stat)>;

fn read(client: &Client, path: &ZnodePath) -> Result<Found, SessionError> {
    match client.get(path, Watch::No) {
        Ok(znode) => Ok(Some((VersionRecord::read(&znode.data), znode.stat))),
        Err(SessionError::NoNode(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(
    client: &Client,
    paths: &StatePaths,
    path: &ZnodePath,
    stat: Option<&Stat>,
    record: &verdict::VersionRecord,
) -> Result<(), SessionError> {
    let bytes = record.bytes();
    match stat {
        Some(stat) => client.set(path, &bytes, Some(stat.version)).map(drop),
        None => match client.create(path, &bytes, CreateMode::Persistent) {
            Err(SessionError::NoNode(_)) => {
                create_group(client, paths)?;
                client.create_with_parents(path, &bytes)
            }
            created => created,
        },
    }
}

/// Creates the znode of the group. Its parent is for all groups, so everybody may use it.
///
/// # Errors
///
/// Those of the session.
pub fn create_group(client: &Client, paths: &StatePaths) -> Result<(), SessionError> {
    if let Some(all) = paths.group().parent() {
        client.create_open(&all)?;
    }
    client.create_all(paths.group())
}
