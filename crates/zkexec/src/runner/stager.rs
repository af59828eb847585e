//! New content on its way into the files: staged, checked, put in place, put back.
//!
//! **Invariant.** What is staged is removed unless it is installed, and what would be
//! put back is what worked last.

use crate::mirror::{Backups, Content, Files, FilesError, MirrorSpec, Staged, StagedCheck};
use crate::rollout::Event as Step;
use farm_core::cli::{Failure, chain};
use farm_core::engine::LogOnce;
use farm_core::process::command::{Executor, Finished};
use log::Level;
use std::collections::VecDeque;
use std::time::Instant;

/// What became of content that was to be staged.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It can be installed.
    Ready,
    /// A check says no.
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

/// Who brings content into the files.
#[derive(Debug)]
pub(super) struct Stager {
    pub(super) files: Files,
    /// Of the checks; driven by the loop.
    pub(super) executor: Executor,
    staged: Option<Staged>,
    /// The commands that have not looked at it yet.
    checks: VecDeque<StagedCheck>,
    /// Whether anything may have to be put back.
    can_put_back: bool,
    /// What was in the files when they worked.
    previous: Option<Backups>,
    trouble: LogOnce,
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
            previous: None,
            trouble: LogOnce::default(),
        })
    }

    /// Whether the files hold just this, as far as can be told.
    pub(super) fn holds(&self, content: &Content) -> bool {
        self.files.matches(content).unwrap_or(false)
    }

    /// Stages the content; `None` while it is being checked.
    pub(super) fn stage(&mut self, now: Instant, content: &Content) -> Option<Outcome> {
        self.discard();
        let staged = self.files.stage(content);
        match staged.and_then(|staged| Ok((staged.checks()?, staged))) {
            Ok((checks, staged)) => {
                self.checks = checks.into();
                self.staged = Some(staged);
                self.check_next(now)
            }
            Err(error) => {
                self.tell(&error);
                Some(Outcome::Failed(error))
            }
        }
    }

    fn check_next(&mut self, now: Instant) -> Option<Outcome> {
        let Some(StagedCheck { command, environment, local: _ }) = self.checks.pop_front() else {
            return Some(Outcome::Ready);
        };
        log::info!("checking via: {command}");
        if let Err(error) = self.executor.start(now, &command, &environment) {
            log::warn!("the check can't be started: {error}");
            self.discard();
            return Some(Outcome::Refused);
        }
        None
    }

    /// Takes the end of a check.
    pub(super) fn finished(&mut self, now: Instant, finished: &Finished) -> Option<Outcome> {
        match self.executor.finished(finished)? {
            Ok(()) => self.check_next(now),
            Err(failed) => {
                log::warn!("the new content is refused, the files stay: {}", failed.reason);
                failed.log_said(Level::Warn, "the check");
                self.discard();
                Some(Outcome::Refused)
            }
        }
    }

    /// Forgets what is staged.
    pub(super) fn discard(&mut self) {
        self.executor.cancel();
        self.checks.clear();
        self.staged = None;
    }

    /// Puts what is staged in place.
    pub(super) fn install(&mut self) -> Result<(), FilesError> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        for local in staged.locals() {
            log::info!("updating {}", local.display());
        }
        let previous = self.files.install(staged).inspect_err(|error| self.tell(error))?;
        self.trouble.clear();
        match &mut self.previous {
            // The child is not to find beside its files what nobody will need.
            _ if !self.can_put_back => drop(previous),
            // Of several tries the first one took the place of what worked.
            Some(first) => first.absorb(previous),
            None => self.previous = Some(previous),
        }
        Ok(())
    }

    /// What is in place works.
    pub(super) fn keep(&mut self) {
        self.previous = None;
    }

    /// Puts back what worked.
    pub(super) fn put_back(&mut self) -> Result<(), FilesError> {
        let undone = self.previous.as_mut().map_or(Ok(()), Backups::put_back);
        undone.inspect_err(|error| self.tell(error))?;
        self.previous = None;
        Ok(())
    }

    fn tell(&self, error: &FilesError) {
        log::error!(logger: self.trouble, "{}; trying again", chain(error));
    }
}
