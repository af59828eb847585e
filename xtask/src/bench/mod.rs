//! `bench`: how long the tools take, compared with the least that is possible.
//!
//! **Invariant.** Every row has a limit, which is measured in the same run, alternating with the
//! tool, on the same server and disk. No result makes the run fail.

mod error;
mod file_observer;
mod limit;
mod rows;
mod stats;
mod table;
mod testbed;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::{eprint_line, step};
use crate::workspace;
pub(crate) use error::BenchError;
use farm_harness::{die_with_parent, toolbox};
use std::io::Write;
use std::path::PathBuf;
use testbed::Testbed;

#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    /// Measure only the rows whose names contain ROW
    #[arg(long, value_name = "ROW")]
    only: Option<String>,
    /// Print one JSON object per row
    #[arg(long)]
    json: bool,
    /// Measure the existing release binaries without building them
    #[arg(long)]
    no_build: bool,
}

pub(crate) fn run(bench: &Bench) -> Result<(), Failure> {
    let part = bench.only.as_deref().unwrap_or_default();
    let rows = rows::named(part);
    if rows.is_empty() {
        return Err(BenchError::NoSuchRow { name: part.to_owned() }.into());
    }
    // The limits are code of this program, so they have to run in a release build as well.
    if cfg!(debug_assertions) {
        return rerun_in_release(bench);
    }
    let testbed = Testbed::new(release_dir());
    let mut measured = Vec::new();
    for (name, measure) in rows {
        let row = step(name, || measure(&testbed, name))?;
        if bench.json {
            print(&format!("{}\n", table::json(&row)))?;
        }
        measured.push(row);
    }
    if bench.json { Ok(()) } else { print(&table::text(&measured)) }
}

fn rerun_in_release(bench: &Bench) -> Result<(), Failure> {
    let toolbox = step("provision", || provision::ensure(Need::Servers))?;
    if !bench.no_build {
        step("build", || {
            run_command(workspace::cargo().args(["build", "--release", "--workspace", "--bins"]))
        })?;
    }
    let mut command = die_with_parent(release_dir().join("xtask").as_os_str());
    command.arg("bench");
    command.args(bench.only.iter().flat_map(|part| ["--only", part]));
    command.args(bench.json.then_some("--json"));
    command.env("FARM_JAVA", &toolbox.java);
    command.env("FARM_ZOOKEEPER_CLASSPATH", &toolbox.zookeeper_classpath);
    eprint_line("==> measure: release binaries, a server with disk syncs off, this machine");
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
