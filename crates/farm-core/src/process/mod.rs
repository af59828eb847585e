//! Processes that we start: commands with a time limit, hooks, a child with all its
//! descendants, and the terminal.
//!
//! **Invariant.** What we started does not outlive us, and none of it finds the
//! variables by which our service manager speaks to us.

pub mod family;
pub mod hook;
pub mod terminal;
