//! `zkexec` without a lock: the child, its files and its health.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod changes;
mod disk;
mod ends;
mod fixture;
mod health;
mod latency;
mod links;
mod mirrors;
mod outages;
pub(crate) mod processes;
mod refusals;
mod service;
mod storm;
mod streams;
mod terminal;
mod trees;
mod unreachable;
mod unruly;
pub(crate) mod unstartable;
mod upstream_tutorial;
