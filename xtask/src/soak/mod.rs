//! `soak`: a farm at work while everything around it breaks, for as long as told.
//!
//! **Invariant.** What goes wrong follows from the seed. What must hold is looked
//! at throughout and, when all is mended, in full; the first breach ends the run.
//! Nothing is left on the machine afterwards, however it ends.

mod calm;
mod conf;
mod error;
mod eye;
mod farm;
mod options;
mod plan;
mod report;
mod roll;
mod shared;
mod stage;
mod storm;
mod threads;
mod tools;
mod usage;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::{say, step};
use crate::workspace;
use fastrand::Rng;
use stage::Stage;
use std::time::Duration;

pub(crate) use error::SoakError;
pub(crate) use options::Soak;

pub(crate) fn run(soak: &Soak) -> Result<(), Failure> {
    step("provision", || provision::ensure(Need::Servers))?;
    step("build", || {
        // What the tests build too: another selection would build everything again.
        run_command(workspace::cargo().args(["build", "--workspace", "--bins"]))
    })?;
    let seed = soak.seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!(
        "==> soak: seed {seed}, {} min, session timeout {:?}",
        soak.minutes, soak.session_timeout
    ));
    let mut stage = Stage::set(soak, seed)?;
    let outcome = endure(&mut stage, soak, seed);
    let elapsed = stage.report.start.elapsed();
    let totals = stage.report.totals(elapsed);
    say(&format!("{totals}\n{}", report::usage_table(elapsed, stage.daemons())));
    Ok(outcome?)
}

fn endure(stage: &mut Stage, soak: &Soak, seed: u64) -> Result<(), SoakError> {
    let mut rng = Rng::with_seed(seed);
    stage.calm(0)?;
    let end = Duration::from_secs(u64::from(soak.minutes) * 60);
    while stage.report.start.elapsed() < end {
        let steps = plan::storm(&mut rng, soak.session_timeout);
        stage.storm(&steps)?;
        let took = stage.calm(steps.len())?;
        stage.report.count(steps.len(), took);
    }
    Ok(())
}
