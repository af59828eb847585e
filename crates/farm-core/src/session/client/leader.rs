//! Reads that show what was written before them.

use super::Client;
use crate::session::{SessionError, ZnodePath};

/// A version that no znode has: a delete with it fails, after all earlier writes are done.
const NO_VERSION: i32 = -2;

impl Client {
    /// Has the leader look whether a znode exists. Reads that follow show at least what was written
    /// anywhere before this call.
    ///
    /// The server that answers our reads may lag behind the others, and may have lost the leader.
    /// But every write goes through the leader, and its answer comes after all earlier writes. This
    /// write always fails, after the leader has checked that the session is alive.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub fn exists_at_leader(&self, path: &ZnodePath) -> Result<bool, SessionError> {
        match self.delete(path, Some(NO_VERSION)) {
            Ok(()) | Err(SessionError::BadVersion(_) | SessionError::NoAuth(_)) => Ok(true),
            Err(SessionError::NoNode(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
