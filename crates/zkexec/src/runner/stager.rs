//! Stages new content, checks it, installs it, and puts the previous files back.
//!
//! **Invariant.** Staged files are removed unless they are installed. The backups hold the files
//! that worked last.

use crate::mirror::{Backups, Content, Files, FilesError, MirrorSpec, Staged, StagedCheck};
use crate::rollout::Event as Step;
use farm_core::cli::{Failure, chain};
use farm_core::engine::LogOnce;
use farm_core::process::command::{Executor, Finished};
use log::Level;
use std::collections::VecDeque;
use std::time::Instant;

/// The result of staging.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The content can be installed.
    Ready,
    /// A check refuses it.
    Refused,
    /// It can't be written.
    Failed(FilesError),
}

impl<C> From<&Outcome> for Step<C> {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ready => Self::Staged,
            Outcome::Refused => Self::Refused,
            Outcome::Failed(_) => Self::StageFailed,
        }
    }
}

/// Brings content into the files.
#[derive(Debug)]
pub(super) struct Stager {
    pub(super) files: Files,
    /// Runs the checks; the main loop calls its `tick`.
    pub(super) executor: Executor,
    staged: Option<Staged>,
    /// The checks that have not run yet.
    checks: VecDeque<StagedCheck>,
    /// Whether backups are kept at all: only for `--on-failed-restart rollback`.
    can_put_back: bool,
    /// The files that worked last.
    backups: Option<Backups>,
    /// Why the last content could not be put in place.
    last_failure: Option<String>,
    error_log: LogOnce,
}

impl Stager {
    pub(super) fn new(
        mirrors: Vec<MirrorSpec>,
        executor: Executor,
        can_put_back: bool,
    ) -> Result<Self, Failure> {
        let files = Files::new(mirrors);
        files.claim()?;
        Ok(Self {
            files,
            executor,
            staged: None,
            checks: VecDeque::new(),
            can_put_back,
            backups: None,
            last_failure: None,
            error_log: LogOnce::default(),
        })
    }

    /// Why the content that was staged last could not be put in place, if so.
    pub(super) fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// Whether the files hold exactly this content; false if they can't be read.
    pub(super) fn holds(&self, content: &Content) -> bool {
        self.files.matches(content).unwrap_or(false)
    }

    /// Stages the content; returns `None` while a check runs.
    pub(super) fn stage(&mut self, now: Instant, content: &Content) -> Option<Outcome> {
        self.discard();
        self.last_failure = None;
        let staged = self.files.stage(content);
        match staged.and_then(|staged| Ok((staged.checks()?, staged))) {
            Ok((checks, staged)) => {
                self.checks = checks.into();
                self.staged = Some(staged);
                self.check_next(now)
            }
            Err(error) => {
                self.log_error(&error);
                Some(Outcome::Failed(error))
            }
        }
    }

    fn check_next(&mut self, now: Instant) -> Option<Outcome> {
        let Some(StagedCheck { command, environment, local: _ }) = self.checks.pop_front() else {
            return Some(Outcome::Ready);
        };
        log::info!("checking via: {command}");
        self.executor.start(now, &command, &environment);
        None
    }

    /// Handles the end of a check.
    pub(super) fn finished(&mut self, now: Instant, finished: &Finished) -> Option<Outcome> {
        match self.executor.finished(finished)? {
            Ok(()) => self.check_next(now),
            Err(failed) if !failed.has_run => {
                let error = FilesError::Check(failed);
                self.log_error(&error);
                self.discard();
                Some(Outcome::Failed(error))
            }
            Err(failed) => {
                log::warn!("the check refuses the new content; the files stay: {}", failed.reason);
                failed.log_output(Level::Warn, "the check");
                self.last_failure = Some(format!("a check refuses it: {}", failed.reason));
                self.discard();
                Some(Outcome::Refused)
            }
        }
    }

    /// Cancels the checks and removes what is staged.
    pub(super) fn discard(&mut self) {
        self.executor.cancel();
        self.checks.clear();
        self.staged = None;
    }

    /// Replaces the files with what is staged.
    pub(super) fn install(&mut self) -> Result<(), FilesError> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        for local in staged.locals() {
            log::info!("updating {}", local.display());
        }
        let installed = self.files.install(staged);
        let backups = installed.inspect_err(|error| self.log_error(error))?;
        self.error_log.clear();
        match &mut self.backups {
            // Dropped at once, so that no backup files lie beside the files of the child.
            _ if !self.can_put_back => drop(backups),
            // After several attempts, the first backup is the one of the files that worked.
            Some(first) => first.absorb(backups),
            None => self.backups = Some(backups),
        }
        Ok(())
    }

    /// Drops the backups: the installed files work.
    pub(super) fn forget_backups(&mut self) {
        self.backups = None;
    }

    /// Puts back the files that worked last.
    pub(super) fn put_back(&mut self) -> Result<(), FilesError> {
        let undone = self.backups.as_mut().map_or(Ok(()), Backups::put_back);
        undone.inspect_err(|error| self.log_error(error))?;
        self.backups = None;
        Ok(())
    }

    fn log_error(&mut self, error: &FilesError) {
        self.last_failure = Some(chain(error).to_string());
        if error.is_stop() {
            return log::info!("stopping before all files are written");
        }
        log::error!(logger: self.error_log, "{}; trying again", chain(error));
    }
}
