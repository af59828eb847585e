//! Processes that we start: commands with a time limit, hooks, health checks, a child with all its
//! descendants, and the terminal.
//!
//! **Invariant.** What we start does not outlive us, and does not inherit the variables by which
//! our service manager talks to us.

pub mod command;
pub mod health;
pub mod hook;
pub mod reaper;
mod service_manager;
mod table;
pub mod terminal;
pub mod tree;
