//! This host: its name, its address, where its paths lead, and locks that one of its
//! processes can hold.

pub mod identity;
pub mod lock;
pub mod resolve;
