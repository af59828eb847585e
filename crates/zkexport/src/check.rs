//! The check that new contents have to pass before they become the file.
//!
//! **Invariant.** What is staged is removed unless it is installed.

use farm_core::files::file::StoreError;
use farm_core::files::staging::StagedFile;
use farm_core::process::command::{Environment, Executor, Failed, Finished, shell_quoted};
use std::io;
use std::time::Instant;

/// What stands for the staged file in the command.
const PLACE: &str = "{}";

/// The check and what it looks at.
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

    /// Has the command look at a staged file with so many hosts.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        staged: StagedFile,
        hosts: usize,
    ) -> io::Result<()> {
        let path = staged.path();
        let Some(path) = path.to_str() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "its path is no text"));
        };
        let command = self.command.replace(PLACE, &shell_quoted(path));
        let environment: Environment = [
            ("ZK_FILE", path.to_owned()),
            ("ZK_PATH", self.path.clone()),
            ("ZK_COUNT", hosts.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        self.check.start(now, &command, &environment)?;
        self.staged = Some(staged);
        Ok(())
    }

    /// Takes the end of a run. What was refused is removed.
    pub(crate) fn finished(&mut self, finished: &Finished) -> Option<Result<(), Failed>> {
        let verdict = self.check.finished(finished)?;
        if verdict.is_err() {
            self.discard();
        }
        Some(verdict)
    }

    /// Puts what has passed in the place of the file.
    pub(crate) fn install(&mut self) -> Result<(), StoreError> {
        self.staged.take().map_or(Ok(()), StagedFile::install)
    }

    /// Removes what is staged.
    pub(crate) fn discard(&mut self) {
        self.staged = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.check.deadline()
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.check.tick(now);
    }
}
