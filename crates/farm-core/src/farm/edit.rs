//! Changing one record while others change it too.
//!
//! **Invariant.** A write replaces exactly the version that was read, so no
//! update of anybody is ever lost.

use crate::codec::DecodeError;
use crate::codec::json::{decode_znode, encode_znode};
use crate::engine::{Backoff, inbox};
use crate::model::Record;
use crate::session::{Client, CreateMode, SessionError, Stat, Watch, ZnodePath};
use std::time::{Duration, Instant};

/// The waits between two attempts: about one round trip at first, and long
/// enough in the end that dozens of writers get out of each other's way.
const WAIT_MIN: Duration = Duration::from_millis(4);
const WAIT_MAX: Duration = Duration::from_millis(200);

/// Changes the record of a znode, again and again on a fresh copy until no
/// other writer got in between or the time is up.
///
/// `change` may run many times, so it must do nothing but edit the record it is
/// handed. Nothing is written if the record is the same afterwards.
///
/// # Errors
///
/// [`EditError::Session`] when ZooKeeper says no or is not there (a lost
/// connection included: the write may have happened, and calling again is
/// safe if `change` may run twice); [`EditError::Malformed`] when the znode
/// holds no record; [`EditError::Refused`] with what `change` refused; and
/// [`EditError::Contended`] when others were quicker until the time was up.
pub fn edit_record<T, C>(
    client: &Client,
    path: &ZnodePath,
    until: Instant,
    mut change: impl FnMut(&mut Record) -> Result<T, C>,
) -> Result<T, EditError<C>> {
    let change = |record: &mut Record, _: Option<&Stat>| change(record).map(Edit::Write);
    edit_znode(client, path, until, Absent::Refuse, change)
}

/// Does the same for a change that wants to know the znode, and decides whether it is
/// written, or created with all that is missing above it. `change` is told nothing about
/// a znode that is not there, and handed an empty record.
///
/// # Errors
///
/// Those of [`edit_record`].
pub fn edit_znode<T, C>(
    client: &Client,
    path: &ZnodePath,
    until: Instant,
    absent: Absent,
    mut change: impl FnMut(&mut Record, Option<&Stat>) -> Result<Edit<T>, C>,
) -> Result<T, EditError<C>> {
    let mut backoff = Backoff::new(WAIT_MIN, WAIT_MAX);
    loop {
        let found = match client.get(path, Watch::No) {
            Ok(znode) => Some(znode),
            Err(SessionError::NoNode(_)) if absent == Absent::Create => None,
            Err(error) => return Err(EditError::Session(error)),
        };
        let data = found.as_ref().map_or(&[][..], |znode| &znode.data);
        let before = decode_znode(data)
            .map_err(|source| EditError::Malformed { path: path.clone(), source })?;
        let mut after = before.clone();
        let stat = found.as_ref().map(|znode| &znode.stat);
        let answer = match change(&mut after, stat).map_err(EditError::Refused)? {
            Edit::Write(answer) if after != before || found.is_none() => answer,
            Edit::Write(answer) | Edit::Leave(answer) => return Ok(answer),
        };
        let written = match stat {
            Some(stat) => client.set(path, &encode_znode(&after), Some(stat.version)).map(drop),
            None => create(client, path, &encode_znode(&after)),
        };
        match written {
            Ok(()) => return Ok(answer),
            Err(SessionError::BadVersion(_) | SessionError::NodeExists(_)) => {}
            Err(SessionError::NoNode(_)) if absent == Absent::Create => {}
            Err(error) => return Err(EditError::Session(error)),
        }
        let wake = Instant::now() + backoff.delay();
        if wake >= until {
            return Err(EditError::Contended { path: path.clone() });
        }
        wait_until(wake);
    }
}

fn create(client: &Client, path: &ZnodePath, data: &[u8]) -> Result<(), SessionError> {
    match (client.create(path, data, CreateMode::Persistent), path.parent()) {
        (Err(SessionError::NoNode(_)), Some(parent)) => {
            client.create_all(&parent)?;
            client.create(path, data, CreateMode::Persistent)
        }
        (created, _) => created,
    }
}

/// What becomes of a change to a znode that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// It fails.
    Refuse,
    /// It makes the znode.
    Create,
}

fn wait_until(wake: Instant) {
    let (inbox, _open) = inbox::<()>();
    inbox.next(Some(wake));
}

/// What a change wants done with its copy of the record, and what it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<T> {
    /// Write it, unless it is as it was.
    Write(T),
    /// Forget it: the znode stays as it is, or missing.
    Leave(T),
}

/// Why a record could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError<C> {
    /// ZooKeeper says no, or is not there.
    #[error("cannot change the record")]
    Session(#[source] SessionError),
    /// The znode holds no record.
    #[error("{path} holds no record")]
    Malformed {
        /// The znode.
        path: ZnodePath,
        /// What is wrong with its bytes.
        source: DecodeError,
    },
    /// The change can't be made to this record.
    #[error("the record can't be changed like this")]
    Refused(#[source] C),
    /// Other writers were quicker every time.
    #[error("others changed {path} during every attempt")]
    Contended {
        /// The znode.
        path: ZnodePath,
    },
}
