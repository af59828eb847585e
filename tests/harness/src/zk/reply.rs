//! The parts that all answers of a server have in common.

use crate::wire::{Unpack, xid};
use std::io;

/// The xid and the error code at the head of an answer.
pub(super) fn head(reply: &mut Unpack<'_>) -> Option<(i32, i32)> {
    let (xid, _zxid, code) = (reply.int()?, reply.long()?, reply.int()?);
    Some((xid, code))
}

/// The path in a watch event; `None` if the frame is the answer to a request.
pub(super) fn event_path(frame: &[u8]) -> io::Result<Option<String>> {
    let mut unpack = Unpack::new(frame);
    if unpack.int().ok_or_else(malformed)? != xid::EVENT {
        return Ok(None);
    }
    read_path(&mut unpack).map(Some).ok_or_else(malformed)
}

fn read_path(unpack: &mut Unpack<'_>) -> Option<String> {
    let (_zxid, _code, _kind, _state) =
        (unpack.long()?, unpack.int()?, unpack.int()?, unpack.int()?);
    unpack.string()
}

pub(super) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed answer from the server")
}
