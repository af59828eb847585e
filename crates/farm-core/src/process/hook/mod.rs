//! Hooks: a command that runs after a change, and again if it fails.
//!
//! **Invariant.** A hook runs at most one command at a time, and none outlives the hook.

mod machine;

use super::command::{Environment, Executor, Finished};
use log::Level;
use machine::{Event, HookMachine};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// Runs a command after changes: never two at once, within a time limit, again after a failure.
///
/// The loop that owns it drives it like an [`Executor`].
#[derive(Debug)]
pub struct Hook {
    command: String,
    executor: Executor,
    machine: HookMachine,
}

impl Hook {
    /// A hook for `sh -c command`; `post` is called on another thread when a run ends.
    #[must_use]
    pub fn new(
        command: String,
        limit: Duration,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Self {
        Self { command, executor: Executor::new(limit, post), machine: HookMachine::new() }
    }

    /// Something changed: runs the command now, or once more after the current run.
    ///
    /// Requests that come during a run are one further run, with the environment of the last.
    pub fn request(&mut self, now: Instant, environment: Environment) {
        self.step(now, Event::Requested(environment));
    }

    /// Takes the end of a run; `Some(true)` if the command exited with 0, `None` if the run is not
    /// ours.
    pub fn finished(&mut self, now: Instant, finished: &Finished) -> Option<bool> {
        let outcome = self.executor.end(finished)?;
        let exit = outcome.exit();
        match &exit {
            Ok(()) => log::debug!(cmd:? = self.command; "command succeeded"),
            Err(failed) => {
                log::warn!(cmd:? = self.command; "command failed: {}", failed.reason);
                failed.log_output(Level::Warn, "command");
            }
        }
        self.step(now, Event::Finished { is_success: outcome.verdict().is_ok() });
        Some(exit.is_ok())
    }

    /// When [`Hook::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.executor.deadline().or(self.machine.deadline())
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        if self.executor.tick(now) {
            log::warn!(cmd:? = self.command; "command takes too long, ending it");
        }
        self.step(now, Event::Tick);
    }

    /// Whether the command runs, or will run again by itself.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.machine.is_busy()
    }

    /// The pid of the command, until it is reaped.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.executor.pid()
    }

    fn step(&mut self, now: Instant, event: Event) {
        if let Some(environment) = self.machine.step(now, event) {
            self.executor.start(now, &self.command, &environment);
        }
    }
}

#[cfg(test)]
mod tests;
