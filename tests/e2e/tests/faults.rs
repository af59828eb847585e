//! Servers that die, freeze, fall silent and come back.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod crowd;
mod descriptors;
mod ensemble;
mod exports;
mod guests;
mod leftovers;
mod outages;
mod servers;
