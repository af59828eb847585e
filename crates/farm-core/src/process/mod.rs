//! Processes that we start: commands with a time limit, hooks, health checks, a child with all its
//! descendants, and the terminal.
//!
//! **Invariant.** What we started does not outlive us, and none of it finds the
//! variables by which our service manager speaks to us.

pub mod command;
pub mod health;
pub mod hook;
pub mod terminal;
pub mod tree;

/// Variables that speak to us, not to what we start.
const OURS: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
