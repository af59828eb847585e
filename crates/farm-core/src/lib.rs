//! The code that `zkjoin`, `zkexport`, `zkexec` and `zkctl` share.
//!
//! The modules form layers, and imports only go down: [`cli`] may use all of them;
//! [`farm`] uses [`session`], [`codec`], [`model`], [`engine`] and [`host`]; `files`
//! uses [`codec`], [`model`], [`engine`] and [`host`]; [`session`] uses [`engine`] and
//! [`host`]; `process` uses [`engine`]; [`codec`] uses [`model`] and [`engine`]; [`model`],
//! [`engine`] and [`host`] use none of the others. `farm`, `files` and `process` do not use
//! each other: a binary connects them. `cargo xtask tidy` checks this. Mechanism belongs here,
//! policy into the binaries.
//!
//! `files`, `process`, `watch` and `turn` are features: a tool builds what it uses.

pub mod cli;
pub mod codec;
pub mod engine;
pub mod farm;
#[cfg(feature = "files")]
pub mod files;
pub mod host;
pub mod model;
#[cfg(feature = "process")]
pub mod process;
pub mod session;
