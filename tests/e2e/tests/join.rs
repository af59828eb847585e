//! `zkjoin`: a config and its znode, kept equal.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod files;
mod hooks;
mod hostile;
mod life;
mod names;
mod odd;
mod one_way;
mod races;
mod shared;
mod sharing;
pub(crate) mod stage;
mod start;
mod sync;
mod trouble;
