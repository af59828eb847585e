//! The first start: the files are there before the child is.
//!
//! It is no turn and needs no permit: a host that comes up takes what ZooKeeper has.

use super::Runner;
use super::stager::Outcome;
use crate::mirror::{Content, FilesError};
use crate::rollout::Event as Step;
use farm_core::cli::{Exit, ExitReason, Failure};
use farm_core::engine::Retry;
use farm_core::session::{SessionError, ZnodePath};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// How far the first start is.
#[derive(Debug)]
pub(super) struct Boot {
    stage: Stage,
    /// When to start with the files that are there.
    impatient_at: Option<Instant>,
    /// When to try again to write the files.
    retry: Retry,
    is_stopping: bool,
}

#[derive(Debug)]
enum Stage {
    /// ZooKeeper has to tell what is to be in the files.
    Reading,
    /// That is being written and checked.
    Staging(Content),
    /// The child has been started.
    Done,
}

impl Boot {
    pub(super) fn new(now: Instant, patience: Option<Duration>) -> Self {
        Self {
            stage: Stage::Reading,
            impatient_at: patience.map(|patience| now + patience),
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            is_stopping: false,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub(super) const fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    pub(super) const fn stop(&mut self) {
        self.is_stopping = true;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Reading => self.impatient_at,
            Stage::Staging(_) => self.retry.deadline(),
            Stage::Done => None,
        }
    }
}

impl Runner {
    /// Starts the child at once if no file has to be there first.
    pub(super) fn begin(&mut self, now: Instant) -> Result<(), Failure> {
        for mirror in &self.mirrors {
            log::info!("registering callback on {}", mirror.znode);
        }
        if self.mirrors.is_empty() {
            self.boot_start(now, Content::of(Vec::new()))?;
        }
        Ok(())
    }

    /// ZooKeeper has this content.
    pub(super) fn boot_on(&mut self, now: Instant, content: Content) -> Result<(), Failure> {
        if self.boot.is_stopping() {
            return Ok(());
        }
        let is_new = match &self.boot.stage {
            Stage::Reading => true,
            Stage::Staging(staged) => *staged != content,
            Stage::Done => false,
        };
        if is_new {
            self.boot_stage(now, content)?;
        }
        Ok(())
    }

    fn boot_stage(&mut self, now: Instant, content: Content) -> Result<(), Failure> {
        self.boot.retry.cancel();
        let outcome = self.stager.stage(now, &content);
        self.boot.stage = Stage::Staging(content);
        outcome.map_or(Ok(()), |outcome| self.boot_staged(now, outcome))
    }

    /// The content of the first start is on the disk, or not.
    pub(super) fn boot_staged(&mut self, now: Instant, outcome: Outcome) -> Result<(), Failure> {
        let Stage::Staging(content) = &self.boot.stage else { return Ok(()) };
        if self.boot.is_stopping() {
            return Ok(());
        }
        let content = content.clone();
        match outcome {
            Outcome::Ready => match self.stager.install() {
                Ok(()) => {
                    self.stager.keep();
                    self.boot_start(now, content)
                }
                Err(error) => self.boot_retry(now, error),
            },
            Outcome::Failed(error) => self.boot_retry(now, error),
            Outcome::Refused if self.stager.has_files() => {
                log::error!("starting with the files that are there");
                self.boot_start(now, Self::unknown())
            }
            Outcome::Refused => {
                Err(Failure::new(Exit::Malformed, "the check refuses what ZooKeeper has")
                    .hint("and there are no files from before to start with"))
            }
        }
    }

    fn boot_retry(&mut self, now: Instant, error: FilesError) -> Result<(), Failure> {
        if error.is_permanent() {
            return Err(error.into());
        }
        self.boot.retry.failed(now);
        Ok(())
    }

    /// Time has passed.
    pub(super) fn boot_is_due(&mut self, now: Instant) -> Result<(), Failure> {
        match &self.boot.stage {
            Stage::Reading => {
                self.boot.impatient_at = None;
                if self.stager.has_files() {
                    log::warn!("ZooKeeper is silent, starting with the files that are there");
                    return self.boot_start(now, Self::unknown());
                }
                log::warn!("ZooKeeper is silent, and not all files are there: waiting on");
                Ok(())
            }
            Stage::Staging(content) => {
                let content = self.latest.clone().unwrap_or_else(|| content.clone());
                self.boot_stage(now, content)
            }
            Stage::Done => Ok(()),
        }
    }

    fn boot_start(&mut self, now: Instant, content: Content) -> Result<(), Failure> {
        self.boot.stage = Stage::Done;
        if self.start_child() != Step::Started {
            self.alert_of_exit(now);
            self.is_over = true;
            return Ok(());
        }
        if let Some(checkup) = &mut self.checkup {
            checkup.begin(now);
        }
        self.rollout(now, Step::Begun(content))?;
        // ZooKeeper may have moved on while the files were written.
        self.want_latest(now)
    }

    /// A znode that has to be there is not.
    pub(super) fn boot_lacks(&self, path: ZnodePath) -> Result<(), Failure> {
        if self.boot.is_done() {
            log::warn!("there is no such znode, its file stays; znode={path}");
            return Ok(());
        }
        Err(Failure::from(SessionError::NoNode(path))
            .hint("a mirror that may be missing is LOCAL=ZNODE,optional"))
    }

    /// What is in files that nobody has compared with ZooKeeper.
    fn unknown() -> Content {
        Content::of(Vec::new())
    }

    /// Finds out what the child runs on, if nobody knew.
    pub(super) fn recognise(&mut self, now: Instant, content: &Content) -> Result<(), Failure> {
        let is_unknown = self.rollout.running() == Some(&Self::unknown());
        if is_unknown && !self.mirrors.is_empty() && self.stager.holds(content) {
            self.rollout(now, Step::Recognised(content.clone()))?;
        }
        Ok(())
    }
}
