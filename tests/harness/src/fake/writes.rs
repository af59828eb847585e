//! Write requests, single and in a multi.

use super::tree::{Acl, Kind, Tree, split};
use crate::wire::{Pack, Unpack, code, op};

/// A single write.
#[derive(Debug)]
pub(crate) enum Write {
    Create { path: String, data: Vec<u8>, acl: Vec<Acl>, flags: i32, wants_stat: bool },
    Delete { path: String, version: i32 },
    Set { path: String, data: Vec<u8>, version: i32 },
    SetAcl { path: String, acl: Vec<Acl>, version: i32 },
    Check { path: String, version: i32 },
}

impl Write {
    pub(crate) fn unpack(opcode: i32, unpack: &mut Unpack<'_>) -> Option<Self> {
        let path = unpack.string()?;
        Some(match opcode {
            op::CREATE | op::CREATE2 => Self::Create {
                path,
                data: unpack.buffer()?,
                acl: Acl::unpack_list(unpack)?,
                flags: unpack.int()?,
                wants_stat: opcode == op::CREATE2,
            },
            op::DELETE => Self::Delete { path, version: unpack.int()? },
            op::SET_DATA => Self::Set { path, data: unpack.buffer()?, version: unpack.int()? },
            op::SET_ACL => {
                Self::SetAcl { path, acl: Acl::unpack_list(unpack)?, version: unpack.int()? }
            }
            op::CHECK => Self::Check { path, version: unpack.int()? },
            _ => return None,
        })
    }

    /// The node whose credentials the write needs.
    pub(crate) fn lock_path(&self) -> &str {
        match self {
            Self::Create { path, .. } | Self::Delete { path, .. } => {
                split(path).map_or("/", |(parent, _)| parent)
            }
            Self::Set { path, .. } | Self::SetAcl { path, .. } | Self::Check { path, .. } => path,
        }
    }

    /// Applies the write within a transaction; returns the reply's body.
    pub(crate) fn apply(self, tree: &mut Tree, session: i64) -> Result<Vec<u8>, i32> {
        match self {
            Self::Create { path, data, acl, flags, wants_stat } => {
                let path = tree.create(&path, &data, acl, kind(flags, session)?)?;
                let packed = Pack::new().string(&path);
                let node = tree.node(&path)?;
                Ok(if wants_stat { node.pack_stat(packed) } else { packed }.body())
            }
            Self::Delete { path, version } => tree.delete(&path, version).map(|()| Vec::new()),
            Self::Set { path, data, version } => {
                tree.set(&path, &data, version).map(|node| node.pack_stat(Pack::new()).body())
            }
            Self::SetAcl { path, acl, version } => {
                tree.set_acl(&path, acl, version).map(|node| node.pack_stat(Pack::new()).body())
            }
            Self::Check { path, version } => tree.check(&path, version).map(|()| Vec::new()),
        }
    }
}

/// A container (flag 4) becomes a persistent node.
const fn kind(flags: i32, session: i64) -> Result<Kind, i32> {
    match flags {
        0 | 4 => Ok(Kind::PERSISTENT),
        1 => Ok(Kind { is_sequential: false, owner: session }),
        2 => Ok(Kind { is_sequential: true, owner: 0 }),
        3 => Ok(Kind { is_sequential: true, owner: session }),
        _ => Err(code::BAD_ARGUMENTS),
    }
}

/// The header of each part of a multi request or reply, and of its end.
fn part(pack: Pack, opcode: i32, is_end: bool, error: i32) -> Pack {
    pack.int(opcode).flag(is_end).int(error)
}

pub(crate) fn end_of_parts(pack: Pack) -> Pack {
    part(pack, op::ERROR, true, -1)
}

pub(crate) fn result_part(pack: Pack, opcode: i32, body: &[u8]) -> Pack {
    part(pack, opcode, false, 0).bytes(body)
}

pub(crate) fn error_part(pack: Pack, error: i32) -> Pack {
    part(pack, op::ERROR, false, error).int(error)
}

/// Reads the parts of a multi request with `unpack_part`.
pub(crate) fn unpack_parts<T>(
    unpack: &mut Unpack<'_>,
    unpack_part: impl Fn(i32, &mut Unpack<'_>) -> Option<T>,
) -> Option<Vec<(i32, T)>> {
    let mut parts = Vec::new();
    loop {
        let opcode = unpack.int()?;
        let is_end = unpack.flag()?;
        let _error = unpack.int()?;
        if is_end {
            return Some(parts);
        }
        parts.push((opcode, unpack_part(opcode, unpack)?));
    }
}

/// Applies all parts or none; returns the reply's body.
pub(crate) fn apply_all(
    tree: &mut Tree,
    session: i64,
    parts: Vec<(i32, Write)>,
    is_open: impl Fn(&str) -> bool,
) -> Vec<u8> {
    let count = parts.len();
    let mut failed_at = 0;
    let outcome = tree.transact_all(|tree| {
        let mut packed = Pack::new();
        for (index, (opcode, write)) in parts.into_iter().enumerate() {
            failed_at = index;
            if !is_open(write.lock_path()) {
                return Err(code::NO_AUTH);
            }
            packed = result_part(packed, opcode, &write.apply(tree, session)?);
        }
        Ok(packed)
    });
    let packed = outcome.unwrap_or_else(|error| {
        // As a real server answers: OK for the parts before the failed one, a runtime
        // inconsistency for those after it.
        (0..count).fold(Pack::new(), |packed, index| match index.cmp(&failed_at) {
            std::cmp::Ordering::Less => error_part(packed, code::OK),
            std::cmp::Ordering::Equal => error_part(packed, error),
            std::cmp::Ordering::Greater => error_part(packed, code::RUNTIME_INCONSISTENCY),
        })
    });
    end_of_parts(packed).body()
}
