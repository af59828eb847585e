//! `zkctl rollout`, with members that are played by the tests.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod fixture;
mod history;
mod orders;
mod retries;
mod status;
mod wait;
mod watch;
