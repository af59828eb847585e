//! The check that new contents have to pass before they replace the file.
//!
//! **Invariant.** A staged file is removed unless it is installed.

use crate::target::TargetError;
use farm_core::files::error::FileError;
use farm_core::files::staging::StagedFile;
use farm_core::process::command::{Executor, Failed, Finished, about_file};
use farm_core::process::reaper::Pid;
use std::time::Instant;

/// The check, and the staged file that it runs on.
#[derive(Debug)]
pub(crate) struct Checker {
    check: Executor,
    command: String,
    path: String,
    staged: Option<StagedFile>,
}

impl Checker {
    pub(crate) const fn new(check: Executor, command: String, path: String) -> Self {
        Self { check, command, path, staged: None }
    }

    /// Runs the command on a staged file with that many hosts.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        staged: StagedFile,
        hosts: usize,
    ) -> Result<(), TargetError> {
        let path = staged.path();
        let Some(path) = path.to_str() else { return Err(TargetError::Name(path)) };
        let (command, mut environment) = about_file(&self.command, path, self.path.clone());
        environment.push(("ZK_COUNT", hosts.to_string()));
        self.check.start(now, &command, &environment);
        self.staged = Some(staged);
        Ok(())
    }

    /// Takes the end of a run; a file that did not pass is removed.
    pub(crate) fn finished(&mut self, finished: &Finished) -> Option<Result<(), Failed>> {
        let verdict = self.check.finished(finished)?;
        if verdict.is_err() {
            self.discard();
        }
        Some(verdict)
    }

    /// Replaces the file by the staged one.
    pub(crate) fn install(&mut self) -> Result<(), FileError> {
        self.staged.take().map_or(Ok(()), StagedFile::install)
    }

    /// Removes the staged file.
    pub(crate) fn discard(&mut self) {
        self.staged = None;
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.check.pid()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.check.deadline()
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.check.tick(now);
    }
}
