//! `bench`: what the tools take, beside what nothing at all would take.
//!
//! **Invariant.** A figure never stands alone: its raw limit is measured in the
//! same run, in turns with it, on the same server and disk. No figure makes the
//! run fail.

mod error;
mod limit;
mod rows;
mod sight;
mod stage;
mod stats;
mod table;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::{say, step};
use crate::workspace;
pub(crate) use error::BenchError;
use farm_harness::{mortal, toolbox};
use stage::Stage;
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Measure only the rows with ROW in their name
    #[arg(long, value_name = "ROW")]
    only: Option<String>,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
    /// Measure the release binaries as they are
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    let part = bench.only.as_deref().unwrap_or_default();
    let rows = rows::named(part);
    if rows.is_empty() {
        return Err(BenchError::NoSuchRow { name: part.to_owned() }.into());
    }
    // The limits are our own code: they are measured by a release binary, too.
    if cfg!(debug_assertions) {
        return build_and_start_over(bench);
    }
    let stage = Stage::new(release_dir());
    let mut measured = Vec::new();
    for (name, measure) in rows {
        let row = step(name, || measure(&stage, name))?;
        if bench.json {
            print(&format!("{}\n", table::json(&row)))?;
        }
        measured.push(row);
    }
    if bench.json { Ok(()) } else { print(&table::text(&measured)) }
}

fn build_and_start_over(bench: &Bench) -> Result<(), Failure> {
    let toolbox = step("provision", || provision::ensure(Need::Servers))?;
    if !bench.no_build {
        step("build", || {
            run_command(workspace::cargo().args(["build", "--release", "--workspace", "--bins"]))
        })?;
    }
    let mut command = mortal(release_dir().join("xtask").as_os_str());
    command.arg("bench");
    command.args(bench.only.iter().flat_map(|part| ["--only", part]));
    command.args(bench.json.then_some("--json"));
    command.env("FARM_JAVA", &toolbox.java);
    command.env("FARM_ZOOKEEPER_CLASSPATH", &toolbox.zookeeper_classpath);
    say("==> measure: server with its disk syncs off, release binaries, this machine");
    Ok(run_command(&mut command)?)
}

fn release_dir() -> PathBuf {
    toolbox::target_dir().join("release")
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(Failure::io("standard output"))
}
