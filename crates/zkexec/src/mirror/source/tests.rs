//! The source step by step, and against an in-memory server.

mod fixture;
mod single;
mod storm;
mod subtree;
