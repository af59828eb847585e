//! The source by tables, and against a server of the mind.

mod bench;
mod single;
mod storm;
mod subtree;
