//! A program of a pipeline that starts late: it gives the terminal to its own group when the host,
//! in the same group, has lent it to the child already.

use farm_harness::eventually;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpgrp, tcgetpgrp, tcsetpgrp};
use std::fs::File;
use std::io::Write;
use std::process::ExitCode;

pub(crate) const ROLE: &str = "latecomer";

/// `FILE`: written when it is done.
pub(crate) fn run(args: &[String]) -> ExitCode {
    let stdin = std::io::stdin();
    eventually("another group has the terminal", || match tcgetpgrp(&stdin) {
        Ok(group) if group != getpgrp() => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let mut held = SigSet::empty();
    held.add(Signal::SIGTTOU);
    held.thread_block().unwrap();
    tcsetpgrp(&stdin, getpgrp()).unwrap();
    File::create(&args[0]).unwrap().write_all(b"stolen\n").unwrap();
    ExitCode::SUCCESS
}
