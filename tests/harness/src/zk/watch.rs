//! One-shot watches on the data of a znode.

use super::{Zk, ZkError, Znode, makes_no_sense, stat};
use crate::wire::{Unpack, op, read_frame, xid};
use std::io;

impl Zk {
    /// Reads a znode, and has its next change told once.
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

    /// Waits for the next change that a watch tells, and names the znode by its
    /// path from the server's root.
    ///
    /// # Errors
    ///
    /// Those of the connection; a change that does not come in time is one.
    pub fn next_change(&mut self) -> Result<String, ZkError> {
        if let Some(path) = self.changes.pop_front() {
            return Ok(path);
        }
        let frame = read_frame(&mut self.stream)?;
        let unasked = || io::Error::other("an answer that nobody asked for");
        Ok(told(&frame)?.ok_or_else(unasked)?)
    }
}

/// The path that a watch tells of; nothing if the frame is an answer.
pub(super) fn told(frame: &[u8]) -> io::Result<Option<String>> {
    let mut unpack = Unpack::new(frame);
    if unpack.int().ok_or_else(makes_no_sense)? != xid::EVENT {
        return Ok(None);
    }
    event_path(&mut unpack).map(Some).ok_or_else(makes_no_sense)
}

fn event_path(unpack: &mut Unpack<'_>) -> Option<String> {
    let (_zxid, _code, _kind, _state) =
        (unpack.long()?, unpack.int()?, unpack.int()?, unpack.int()?);
    unpack.string()
}
