//! `zkjoin` keeps a config and its znode equal.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod editors;
mod files;
pub(crate) mod fixture;
mod floods;
mod hooks;
mod hostile;
mod life;
mod links;
mod names;
mod one_way;
mod paths;
mod races;
mod shared;
mod sharing;
mod start;
mod sync;
mod trouble;
mod unreadable;
