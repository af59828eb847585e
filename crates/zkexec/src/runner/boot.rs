//! The first start: the files are there before the child is.
//!
//! It is no turn and needs no permit: a host that comes up takes what ZooKeeper has.

use super::stager::{Outcome, Stager};
use crate::mirror::{Content, FilesError};
use farm_core::cli::{Exit, ExitReason, Failure};
use farm_core::engine::Retry;
use farm_core::session::{SessionError, ZnodePath};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(30);

/// The content on which the child is to be started now, if it is.
pub(super) type Start = Result<Option<Content>, Failure>;

/// How far the first start is.
#[derive(Debug)]
pub(super) struct Boot {
    stage: Stage,
    /// When to start with the files that are there.
    impatient_at: Option<Instant>,
    /// When to try again to write the files.
    retry: Retry,
    /// We are to end: nothing is started any more.
    pub(super) is_stopping: bool,
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

    /// What is in files that nobody has compared with ZooKeeper.
    pub(super) fn unknown() -> Content {
        Content::of(Vec::new())
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Reading => self.impatient_at,
            Stage::Staging(_) => self.retry.deadline(),
            Stage::Done => None,
        }
    }

    /// The child is being started.
    pub(super) fn started(&mut self) {
        self.stage = Stage::Done;
    }

    /// ZooKeeper has this content.
    pub(super) fn read(&mut self, now: Instant, content: &Content, stager: &mut Stager) -> Start {
        let is_new = match &self.stage {
            Stage::Reading => true,
            Stage::Staging(staged) => staged != content,
            Stage::Done => false,
        };
        if is_new && !self.is_stopping {
            return self.stage(now, content.clone(), stager);
        }
        Ok(None)
    }

    fn stage(&mut self, now: Instant, content: Content, stager: &mut Stager) -> Start {
        self.retry.cancel();
        let outcome = stager.stage(now, &content);
        self.stage = Stage::Staging(content);
        outcome.map_or(Ok(None), |outcome| self.staged(now, outcome, stager))
    }

    /// The content is on the disk, or not.
    pub(super) fn staged(&mut self, now: Instant, outcome: Outcome, stager: &mut Stager) -> Start {
        let Stage::Staging(content) = &self.stage else { return Ok(None) };
        if self.is_stopping {
            return Ok(None);
        }
        match outcome {
            Outcome::Ready => match stager.install() {
                Ok(()) => {
                    stager.keep();
                    Ok(Some(content.clone()))
                }
                Err(error) => self.try_later(now, error),
            },
            Outcome::Failed(error) => self.try_later(now, error),
            Outcome::Refused if stager.files.are_there() => {
                log::error!("starting with the files that are there");
                Ok(Some(Self::unknown()))
            }
            Outcome::Refused => {
                Err(Failure::new(Exit::Malformed, "the check refuses what ZooKeeper has")
                    .hint("and there are no files from before to start with"))
            }
        }
    }

    fn try_later(&mut self, now: Instant, error: FilesError) -> Start {
        if error.is_permanent() {
            return Err(error.into());
        }
        self.retry.failed(now);
        Ok(None)
    }

    /// Time has passed; `latest` is what ZooKeeper has.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        latest: Option<&Content>,
        stager: &mut Stager,
    ) -> Start {
        match &self.stage {
            Stage::Reading => {
                self.impatient_at = None;
                if stager.files.are_there() {
                    log::warn!("ZooKeeper is silent, starting with the files that are there");
                    return Ok(Some(Self::unknown()));
                }
                log::warn!("ZooKeeper is silent, and not all files are there: waiting on");
                Ok(None)
            }
            Stage::Staging(content) => {
                let content = latest.unwrap_or(content).clone();
                self.stage(now, content, stager)
            }
            Stage::Done => Ok(None),
        }
    }

    /// A znode that has to be there is not.
    pub(super) fn lacks(&self, path: ZnodePath) -> Result<(), Failure> {
        if self.is_done() {
            log::warn!(znode:% = path; "there is no such znode, its file stays");
            return Ok(());
        }
        Err(Failure::from(SessionError::NoNode(path))
            .hint("a mirror that may be missing is LOCAL=ZNODE,optional"))
    }
}
