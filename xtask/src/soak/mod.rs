//! `soak`: a farm under random faults, in rounds: faults, and then a recovery.
//!
//! **Invariant.** The seed determines the faults. Some invariants are checked all the time, and all
//! of them after each recovery. The first violation ends the run. However it ends, it leaves
//! nothing on the machine.

mod conf;
mod error;
mod exec_group;
mod farm;
mod inject;
mod observer;
mod options;
mod plan;
mod recovery;
mod report;
mod shared_record;
mod testbed;
mod threads;
mod tools;
mod usage;
mod user;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::{eprint_line, step};
use crate::workspace;
use fastrand::Rng;
use std::time::Duration;
use testbed::Testbed;

pub(crate) use error::SoakError;
pub(crate) use options::Soak;

/// A shorter soak leaves out the search through the states of a group, which takes longer than
/// that.
const SEARCH_FROM_MINUTES: u32 = 10;

/// From here on, it is the search that takes hours.
const WHOLE_SEARCH_FROM_MINUTES: u32 = 120;

pub(crate) fn run(soak: &Soak) -> Result<(), Failure> {
    step("provision", || provision::ensure(Need::Servers))?;
    step("build", || {
        // The same selection of packages as in `test`: cargo would rebuild for another one.
        run_command(workspace::cargo().args(["build", "--workspace", "--bins"]))
    })?;
    if soak.minutes >= SEARCH_FROM_MINUTES {
        let is_whole = soak.minutes >= WHOLE_SEARCH_FROM_MINUTES;
        let extent = if is_whole { "hours" } else { "minutes" };
        step("all states of a group of rollouts", || search_states(extent))?;
    }
    let seed = soak.seed.unwrap_or_else(|| fastrand::u64(..));
    eprint_line(&format!(
        "==> soak: seed {seed}, {} min, session timeout {:?}",
        soak.minutes, soak.session_timeout
    ));
    let mut testbed = Testbed::start(soak, seed)?;
    let outcome = run_rounds(&mut testbed, soak, seed);
    let elapsed = testbed.report.start.elapsed();
    let totals = testbed.report.totals(elapsed);
    eprint_line(&format!("{totals}\n{}", report::usage_table(elapsed, testbed.daemons())));
    Ok(outcome?)
}

/// Looks at all states of the model of a group; the test prints how many there are.
fn search_states(extent: &str) -> Result<(), Failure> {
    let test = ["test", "--profile", "explore", "-p", "zkexec", "--lib"];
    let filter = ["--", "the_group_is_well_in_all_states", "--nocapture"];
    run_command(workspace::cargo().args(test).args(filter).env("FARM_EXPLORE", extent))?;
    Ok(())
}

fn run_rounds(testbed: &mut Testbed, soak: &Soak, seed: u64) -> Result<(), SoakError> {
    let mut rng = Rng::with_seed(seed);
    testbed.recover(0)?;
    let end = Duration::from_secs(u64::from(soak.minutes) * 60);
    while testbed.report.start.elapsed() < end {
        let faults = plan::round(&mut rng, soak.session_timeout);
        testbed.inject(&faults)?;
        let took = testbed.recover(faults.len())?;
        testbed.report.add_round(faults.len(), took);
    }
    Ok(())
}
