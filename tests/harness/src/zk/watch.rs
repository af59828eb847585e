//! One-shot data watches.

use super::reply::event_path;
use super::{Zk, ZkError, Znode, stat};
use crate::wire::{op, read_frame};
use std::io;

impl Zk {
    /// Reads a znode and sets a data watch.
    ///
    /// # Errors
    ///
    /// `NoNode`, `NoAuth`.
    pub fn watch(&mut self, path: &str) -> Result<Znode, ZkError> {
        let (xid, request) = self.request(op::GET_DATA, path);
        self.ask(xid, request.flag(true), |reply| {
            Some(Znode { data: reply.buffer()?, stat: stat(reply)? })
        })
    }

    /// Waits for the next watch event and returns the znode's path from the server's root.
    ///
    /// # Errors
    ///
    /// Those of the connection, and a timeout if no event comes.
    pub fn next_change(&mut self) -> Result<String, ZkError> {
        if let Some(path) = self.changes.pop_front() {
            return Ok(path);
        }
        let frame = read_frame(&mut self.stream)?;
        let unexpected = || io::Error::other("an answer instead of a watch event");
        Ok(event_path(&frame)?.ok_or_else(unexpected)?)
    }
}
