//! `demo`: a farm of three hosts on a real ZooKeeper, in less than a minute.
//!
//! **Invariant.** What stands after a `$` is the command that ran, what follows
//! it is what it printed, and the next line is shown only when the outcome was
//! seen. Nothing is left on the machine afterwards, however the demo ends.

mod error;
mod screen;
mod sight;
mod stage;
mod story;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::step;
use crate::workspace;
use stage::Stage;

pub(crate) use error::DemoError;

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Keep everything running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(demo: &Demo) -> Result<(), Failure> {
    step("get Java and ZooKeeper", || provision::ensure(Need::Servers))?;
    step("build the tools", || {
        // What the tests build too: another selection would build everything again.
        run_command(workspace::cargo().args(["build", "--workspace", "--bins"]))
    })?;
    let mut stage = step("start ZooKeeper", Stage::set)?;
    let outcome =
        story::tell(&mut stage).and_then(|()| if demo.keep { stage.keep() } else { Ok(()) });
    step("clean up", || {
        stage.clear();
        Ok::<_, Failure>(())
    })?;
    Ok(outcome?)
}
