//! `zkexec`: a child with configuration from ZooKeeper.

pub mod gate;
pub mod mirror;
