//! This machine: its name, its address, and locks that one process of it can hold.

pub mod identity;
pub mod lock;
