//! `zkexec`: a child that is kept well, its files, its health; one member alone.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod alone;
mod away;
mod changes;
mod desk;
mod disk;
mod ends;
mod health;
mod mirrors;
mod processes;
mod refusals;
mod seed;
mod service;
mod speed;
mod stage;
mod storm;
mod streams;
mod trees;
mod unruly;
