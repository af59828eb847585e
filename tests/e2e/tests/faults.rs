//! Servers that die, freeze, fall silent and come back.

#![expect(clippy::unwrap_used, reason = "the steps that tests share fail as tests do")]

mod descriptors;
mod ensemble;
mod exports;
mod ignored_signals;
mod kills;
mod leftovers;
mod loopback;
mod memory;
mod odd_servers;
mod other_users;
mod outages;
mod process_1;
mod servers;
mod service_manager;
mod shared_directory;
mod stderr;
mod taken_away;
mod threads;
mod twenty_hosts;
