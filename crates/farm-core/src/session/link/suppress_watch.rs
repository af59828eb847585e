//! One-shot watches that would end a watch on a tree.
//!
//! Servers from 3.6 to 3.8 keep one kind of watch for each znode and connection: a read
//! of the top of a watched tree that leaves a one-shot watch ends the watch on the tree,
//! without notice (ZOOKEEPER-4466). The watch on the tree reports everything that the
//! one-shot watch would.

use super::backlog::Backlog;
use crate::session::wire::{Fields, opcode};
use std::borrow::Cow;

/// The body of a request of the library, without the watch flag if the tree below that
/// znode is watched or about to be.
pub(super) fn suppress_watch<'a>(backlog: &Backlog, opcode: i32, body: &'a [u8]) -> Cow<'a, [u8]> {
    let mut fields = Fields::of(body);
    let may_conflict = matches!(opcode, opcode::GET_DATA | opcode::EXISTS);
    match (fields.text(), fields.byte(), fields.left()) {
        (Ok(path), Ok(1..), 0) if may_conflict && backlog.watches_tree(path) => {
            let mut body = body.to_vec();
            body.pop();
            body.push(0);
            Cow::Owned(body)
        }
        _ => Cow::Borrowed(body),
    }
}
