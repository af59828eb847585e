//! The znode that this process keeps alive.
//!
//! These are blocking operations for a courier. Each can be repeated: one that a
//! broken link left half done finds its own work when it runs again.
//!
//! **Invariant.** A znode that another session owns is replaced, never overwritten:
//! it would vanish with its owner.

use crate::session::{Client, CreateMode, SessionError, SessionId, Watch, Znode, ZnodePath};

/// How often a claim is begun anew when others create and delete the same znode.
const RACES_MAX: usize = 20;

/// How a claim ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The znode is there and ours; this is what it holds now.
    Ours {
        /// As it was read after it became ours.
        znode: Znode,
        /// What stood there before and was replaced.
        replaced: Option<Znode>,
    },
    /// It belongs to somebody else, and was left alone.
    Taken {
        /// As it was read.
        znode: Znode,
    },
}

/// Makes sure that an ephemeral znode of this session stands at that path.
///
/// What stands there already and is ours is left as it is. What belongs to another
/// session is replaced in one transaction if `is_left_over` says so, so that nobody
/// sees the znode missing. In every case but an error a watch is left.
///
/// # Errors
///
/// Those of the session; [`SessionError::NodeExists`] after too many lost races.
pub fn claim(
    client: &Client,
    path: &ZnodePath,
    data: &[u8],
    is_left_over: impl Fn(&Znode) -> bool,
) -> Result<Claim, SessionError> {
    let session = client.session().ok_or(SessionError::Disconnected)?;
    let mut replaced = None;
    for _ in 0..RACES_MAX {
        match client.create(path, data, CreateMode::Ephemeral) {
            Ok(()) | Err(SessionError::NodeExists(_)) => {}
            Err(SessionError::NoNode(_)) => {
                let parent = path.parent().unwrap_or_else(ZnodePath::root);
                client.create_all(&parent)?;
                continue;
            }
            Err(error) => return Err(error),
        }
        let znode = match client.get(path, Watch::Yes) {
            Ok(znode) => znode,
            Err(SessionError::NoNode(_)) => continue,
            Err(error) => return Err(error),
        };
        if is_owned_by(&znode, session) {
            return Ok(Claim::Ours { znode, replaced });
        }
        if !is_left_over(&znode) {
            return Ok(Claim::Taken { znode });
        }
        match client.replace(path, data, znode.stat.version) {
            Ok(()) => replaced = Some(znode),
            Err(
                SessionError::NoNode(_) | SessionError::BadVersion(_) | SessionError::NodeExists(_),
            ) => {}
            Err(error) => return Err(error),
        }
    }
    Err(SessionError::NodeExists(path.clone()))
}

/// Makes sure that a persistent znode stands at that path, created with this data if
/// it is missing; what stands there already is left as it is. A watch is left.
///
/// # Errors
///
/// Those of the session.
pub fn share(client: &Client, path: &ZnodePath, data: &[u8]) -> Result<Share, SessionError> {
    loop {
        let is_new = match client.create(path, data, CreateMode::Persistent) {
            Ok(()) => true,
            Err(SessionError::NodeExists(_)) => false,
            Err(SessionError::NoNode(_)) => {
                client.create_all(&path.parent().unwrap_or_else(ZnodePath::root))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        match client.get(path, Watch::Yes) {
            Ok(znode) if is_new => return Ok(Share::Created(znode)),
            Ok(znode) => return Ok(Share::Found(znode)),
            Err(SessionError::NoNode(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// How sharing a znode ended; in either case it was read afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// It was missing, and we created it.
    Created(Znode),
    /// It was there.
    Found(Znode),
}

/// Reads the znode and leaves a watch, whether it is there or not.
///
/// # Errors
///
/// Those of the session.
pub fn look(client: &Client, path: &ZnodePath) -> Result<Option<Znode>, SessionError> {
    loop {
        match client.get(path, Watch::Yes) {
            Ok(znode) => return Ok(Some(znode)),
            Err(SessionError::NoNode(_)) => {}
            Err(error) => return Err(error),
        }
        // Reading what is not there leaves no watch; asking whether it is there does.
        if client.exists(path, Watch::Yes)?.is_none() {
            return Ok(None);
        }
    }
}

/// Tells whether the znode lives with that session.
#[must_use]
pub const fn is_owned_by(znode: &Znode, session: SessionId) -> bool {
    znode.stat.ephemeral_owner == session.0
}
