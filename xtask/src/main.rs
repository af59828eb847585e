//! The chores of this workspace.

mod apt;
mod bench;
mod command;
mod demo;
mod failure;
mod gate;
mod provision;
mod soak;
mod step;
mod tidy;
mod workspace;
mod zk;

use clap::{Parser, Subcommand};
use farm_core::engine::chain;
use std::process::ExitCode;

/// The chores of this workspace
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Chores {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show a farm at work, on a real ZooKeeper that is fetched if need be
    Demo(demo::Demo),
    /// Check and test everything, the way a change has to pass
    Test(gate::Test),
    /// Measure the tools beside the raw limits of this machine
    Bench(bench::Bench),
    /// Keep a farm at work while faults fall at random, and see that all holds
    Soak(soak::Soak),
    /// Check the repository itself: layers, sizes, names, links
    Tidy,
    /// Keep a ZooKeeper server running for development
    #[command(subcommand)]
    Zk(zk::Zk),
}

fn main() -> ExitCode {
    let outcome = match Chores::parse().verb {
        Verb::Demo(demo) => demo::run(&demo),
        Verb::Test(test) => gate::run(&test),
        Verb::Bench(bench) => bench::run(&bench),
        Verb::Soak(soak) => soak::run(&soak),
        Verb::Tidy => tidy::run(),
        Verb::Zk(zk) => zk::run(&zk),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            step::say(&format!("xtask: {}", chain(&failure)));
            ExitCode::from(failure.code())
        }
    }
}
