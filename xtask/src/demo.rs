//! `demo`: a farm of three hosts on a real ZooKeeper, in less than a minute.
//!
//! **Invariant.** After each `$` is a command that really runs, followed by its real output. The
//! demo goes on only after it has observed the outcome. However it ends, it leaves nothing on the
//! machine.

mod error;
mod files;
mod sandbox;
mod screen;
mod script;

use crate::command::run as run_command;
use crate::failure::Failure;
use crate::provision::{self, Need};
use crate::step::step;
use crate::workspace;
use sandbox::Sandbox;

pub(crate) use error::DemoError;

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// Leave everything running at the end until Ctrl-C
    #[arg(long)]
    keep: bool,
}

pub(crate) fn run(demo: &Demo) -> Result<(), Failure> {
    step("get Java and ZooKeeper", || provision::ensure(Need::Servers))?;
    step("build the tools", || {
        // The same selection of packages as in `test`: cargo would rebuild for another one.
        run_command(workspace::cargo().args(["build", "--workspace", "--bins"]))
    })?;
    let mut sandbox = step("start ZooKeeper", Sandbox::start)?;
    let outcome =
        script::run(&mut sandbox).and_then(|()| if demo.keep { sandbox.keep() } else { Ok(()) });
    step("clean up", || {
        sandbox.stop();
        Ok::<_, Failure>(())
    })?;
    Ok(outcome?)
}
