//! This host: its name, its address, and locks that one of its processes can hold.

pub mod identity;
pub mod lock;
