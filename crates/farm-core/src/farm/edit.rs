//! Changing one record while others change it too.
//!
//! **Invariant.** A write replaces exactly the version that was read, so no update is ever lost.

use super::contention::Contention;
use crate::codec::DecodeError;
use crate::codec::json::{check_znode, decode_znode, encode_znode};
use crate::model::Record;
use crate::session::{Client, SessionError, Stat, Watch, ZnodePath};
use std::time::Instant;

/// Changes the record of a znode. If another writer changes it in between, tries again on a fresh
/// copy until `until`.
///
/// `change` may run many times, so it must only edit the record that it gets. Nothing is written
/// if it leaves the record as it was.
///
/// # Errors
///
/// [`EditError::Session`] when ZooKeeper refuses a request or the connection is lost (then the
/// write may have happened, and a second call is safe if `change` may run twice);
/// [`EditError::Malformed`] when the znode holds no record; [`EditError::TooLarge`] when the changed
/// record exceeds a bound; [`EditError::Refused`] with the error
/// of `change`; and [`EditError::Contended`] when other writers came first until `until`.
pub fn edit_record<T, C>(
    client: &Client,
    path: &ZnodePath,
    until: Instant,
    mut change: impl FnMut(&mut Record) -> Result<T, C>,
) -> Result<T, EditError<C>> {
    let change = |record: &mut Record, _: Option<&Stat>| change(record).map(Edit::Write);
    edit_znode(client, path, until, Absent::Refuse, change)
}

/// As [`edit_record`], but `change` also gets the znode's [`Stat`] and decides whether to write.
/// With [`Absent::Create`], a missing znode is created together with its missing parents; for that
/// one, `change` gets no stat and an empty record.
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
    let mut contention = Contention::new(until);
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
        let data = encode_znode(&after);
        check_znode(&data).map_err(|source| EditError::TooLarge { path: path.clone(), source })?;
        let written = match stat {
            Some(stat) => client.set(path, &data, Some(stat.version)).map(drop),
            None => client.create_with_parents(path, &data),
        };
        match written {
            Ok(()) => return Ok(answer),
            Err(SessionError::BadVersion(_) | SessionError::NodeExists(_)) => {}
            Err(SessionError::NoNode(_)) if absent == Absent::Create => {}
            Err(error) => return Err(EditError::Session(error)),
        }
        if !contention.wait() {
            return Err(EditError::Contended { path: path.clone() });
        }
    }
}

/// What to do if the znode does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Fail.
    Refuse,
    /// Create the znode.
    Create,
}

/// What to do with the changed copy of the record, and the result of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit<T> {
    /// Write it, if it has changed.
    Write(T),
    /// Drop it: the znode stays as it is, or missing.
    Leave(T),
}

/// Why a record could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError<C> {
    /// ZooKeeper refused a request, or the connection was lost.
    #[error("cannot change the record")]
    Session(#[source] SessionError),
    /// The znode holds no record.
    #[error("{path} holds no record")]
    Malformed {
        /// The znode.
        path: ZnodePath,
        /// Why its bytes are no record.
        source: DecodeError,
    },
    /// The changed record is larger than a record may be.
    #[error("cannot write {path}")]
    TooLarge {
        /// The znode.
        path: ZnodePath,
        /// The bound that it exceeds.
        source: DecodeError,
    },
    /// `change` refused this record.
    #[error("the record can't be changed like this")]
    Refused(#[source] C),
    /// Other writers were quicker every time.
    #[error("others changed {path} during every attempt")]
    Contended {
        /// The znode.
        path: ZnodePath,
    },
}
