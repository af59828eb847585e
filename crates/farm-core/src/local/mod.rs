//! This machine: files, file watches, hooks, a child and its family, the identity of the
//! host.
//!
//! **Invariant.** A reader of a file that we write sees the old bytes or the new
//! ones, never a part. What somebody saves while we write is found again, and a
//! failed read is an error, never an empty record.

pub mod conf;
pub mod export;
pub mod family;
pub mod file;
mod folder;
mod hidden;
pub mod hook;
pub mod identity;
pub mod lock;
pub mod manner;
pub mod mark;
pub mod previous;
pub mod staging;
#[cfg(test)]
mod straits;
pub mod subtree;
mod swap;
pub mod terminal;
mod tree;
#[cfg(feature = "local-watch")]
pub mod watch;
