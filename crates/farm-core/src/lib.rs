//! What `zkjoin`, `zkexport`, `zkexec` and `zkctl` share.
//!
//! The modules form layers, and imports only go down: [`cli`] may use all;
//! [`farm`] uses [`session`], [`codec`], [`model`] and [`engine`]; [`local`]
//! uses [`codec`], [`model`] and [`engine`]; [`session`] uses [`engine`];
//! [`codec`] uses [`model`]; [`model`] and [`engine`] use nothing of ours. `farm` and
//! `local` have never met: a binary introduces them. `cargo xtask tidy` holds
//! the rule. Mechanism lives here, policy lives in the binaries.

pub mod cli;
pub mod codec;
pub mod engine;
pub mod farm;
pub mod local;
pub mod model;
pub mod session;
