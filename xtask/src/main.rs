//! `cargo xtask`: the development tasks of this workspace.

mod apt;
mod bench;
mod command;
mod demo;
mod draw;
mod failure;
mod provision;
mod soak;
mod step;
mod test;
mod tidy;
mod workspace;
mod zk;

use clap::{Parser, Subcommand};
use farm_core::engine::chain;
use std::process::ExitCode;

/// Development tasks of this workspace
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Xtask {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run a demo farm on a real ZooKeeper, which is downloaded if it is missing
    Demo(demo::Demo),
    /// Render the drawing of a rolling restart, or record the run that it shows
    Draw(draw::Draw),
    /// Run every check and test that a change has to pass
    Test(test::Test),
    /// Measure the tools and compare them with the limits of this machine
    Bench(bench::Bench),
    /// Run a farm under random faults and check its invariants
    Soak(soak::Soak),
    /// Check the repository itself: imports, sizes, names, links
    Tidy,
    /// Start or stop a ZooKeeper server for development
    #[command(subcommand)]
    Zk(zk::Zk),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().task {
        Task::Demo(demo) => demo::run(&demo),
        Task::Draw(draw) => draw::run(&draw),
        Task::Test(test) => test::run(&test),
        Task::Bench(bench) => bench::run(&bench),
        Task::Soak(soak) => soak::run(&soak),
        Task::Tidy => tidy::run(),
        Task::Zk(zk) => zk::run(&zk),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            step::eprint_line(&format!("xtask: {}", chain(&failure)));
            ExitCode::from(failure.code())
        }
    }
}
