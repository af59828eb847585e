//! The tools against a real ZooKeeper.

mod access;
mod bounds;
mod cache;
mod ctl;
mod exec;
mod export;
mod faults;
mod join;
mod permits;
mod rolling;
mod terminals;
mod tls;
mod tutorial;
mod zkfarmer;
