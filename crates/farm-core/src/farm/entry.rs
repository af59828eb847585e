//! The znode that this process keeps alive.
//!
//! These operations block, so they run on a request thread. Each can be repeated: if a lost
//! connection interrupts one, it finds what it has done when it runs again.
//!
//! **Invariant.** A znode of another session is replaced, never overwritten: an overwritten one
//! would vanish with that session.

use crate::session::{Client, CreateMode, SessionError, SessionId, Watch, Znode, ZnodePath};

/// How often a claim starts again when others create and delete the same znode.
const RACES_MAX: usize = 20;

/// How a claim ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Our session owns the znode.
    Ours {
        /// The znode, as it was read after it became ours.
        znode: Znode,
        /// The znode that it replaced, if any.
        replaced: Option<Znode>,
    },
    /// Another session owns the znode, and it was left alone.
    Taken {
        /// The znode, as it was read.
        znode: Znode,
    },
}

/// Makes sure that an ephemeral znode of this session exists at the path.
///
/// A znode that is ours already stays as it is. A znode of another session is replaced if
/// `is_left_over` says so, in one transaction, so that no client sees it missing. Unless there is
/// an error, a watch is left.
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

/// Makes sure that a persistent znode exists at the path: creates it with this data if it is
/// missing, and leaves it as it is otherwise. A watch is left.
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

/// How sharing a znode ended, with the znode as it was read afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// It was missing, and we created it.
    Created(Znode),
    /// It existed.
    Found(Znode),
}

/// Reads the znode and leaves a watch, whether it exists or not.
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
        // A read of a missing znode leaves no watch, but exists() does.
        if client.exists(path, Watch::Yes)?.is_none() {
            return Ok(None);
        }
    }
}

/// Whether the session owns the (ephemeral) znode.
#[must_use]
pub const fn is_owned_by(znode: &Znode, session: SessionId) -> bool {
    znode.stat.ephemeral_owner == session.0
}
