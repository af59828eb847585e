//! `draw`: the picture of a rolling restart, from a run that really took place.
//!
//! **Invariant.** The picture depends on the recorded run alone: every machine renders the same
//! bytes. Nothing in a recorded run is invented: a run of which something was missed is no run.

mod error;
mod follower;
mod journal;
mod labels;
mod lanes;
mod picture;
mod record;
mod run;
mod svg;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::step;
use crate::workspace;
pub(crate) use error::DrawError;
use run::Run;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// The recorded run, relative to the top directory.
pub(crate) const RUN: &str = "docs/rollout.tsv";
/// What it renders to.
pub(crate) const PICTURE: &str = "docs/rollout.svg";

#[derive(Debug, clap::Args)]
pub(crate) struct Draw {
    /// Record a new run first: five zkexec on a real ZooKeeper
    #[arg(long)]
    record: bool,
}

pub(crate) fn run(draw: &Draw) -> Result<(), Failure> {
    let root = workspace::root();
    if draw.record {
        step("get Java and ZooKeeper", || provision::ensure(Need::Servers))?;
        step("build the tools", || {
            // The same selection of packages as in `test`: cargo would rebuild for another one.
            run_command(workspace::cargo().args(["build", "--workspace", "--bins"]))
        })?;
        let run = step("record a rolling restart", record::record)?;
        write(&root.join(RUN), &run.to_string())?;
    }
    let path = root.join(RUN);
    let recorded = fs::read_to_string(&path).map_err(Failure::io(&path))?;
    write(&root.join(PICTURE), &render(&recorded)?)
}

/// The picture of a recorded run.
pub(crate) fn render(recorded: &str) -> Result<String, DrawError> {
    Ok(picture::render(&recorded.parse::<Run>()?))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(Failure::io(path))
}
