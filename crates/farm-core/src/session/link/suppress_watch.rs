//! Watches that get in each other's way.
//!
//! Servers from 3.6 to 3.8 keep one kind of watch for a znode and a connection: reading
//! the top of a watched tree with a watch for once ends that of the tree, and nobody is
//! told (ZOOKEEPER-4466). The watch of the tree tells all that the other one would.

use super::backlog::Backlog;
use crate::session::wire::{Fields, opcode};
use std::borrow::Cow;

/// The body of a request of the library, without the wish for a watch if the tree below
/// that znode is watched, or about to be.
pub(super) fn suppress_watch<'a>(backlog: &Backlog, opcode: i32, body: &'a [u8]) -> Cow<'a, [u8]> {
    let mut fields = Fields::of(body);
    let wishes = matches!(opcode, opcode::GET_DATA | opcode::EXISTS);
    match (fields.text(), fields.byte(), fields.left()) {
        (Ok(path), Ok(1..), 0) if wishes && backlog.watches_tree(path) => {
            let mut body = body.to_vec();
            body.pop();
            body.push(0);
            Cow::Owned(body)
        }
        _ => Cow::Borrowed(body),
    }
}
