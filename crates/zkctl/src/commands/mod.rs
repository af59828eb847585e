//! One file per command, with its options, its requests and its answer.

mod assignment;
mod check;
mod children;
mod contenders;
mod field;
mod get;
mod listing;
mod lock_queue;
mod locks;
mod ls;
mod overwrite;
mod put;
mod rollout;
mod set;
mod unset;
mod znode_stat;

pub(crate) use check::{CheckArgs, check};
pub(crate) use get::{GetArgs, get};
pub(crate) use locks::{LocksArgs, locks};
pub(crate) use ls::{LsArgs, ls};
pub(crate) use put::{PutArgs, put};
pub(crate) use rollout::{RolloutArgs, rollout};
pub(crate) use set::{SetArgs, set};
pub(crate) use unset::{UnsetArgs, unset};
