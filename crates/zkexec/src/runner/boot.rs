//! The first start: the files are written before the child is started.
//!
//! It needs no turn and no permit: a host that boots uses the content that is in ZooKeeper. Content
//! that its group has refused or is trying is not put in place if there is something better.

use super::stager::{Outcome, Stager};
use crate::mirror::{Content, FilesError};
use farm_core::cli::{Exit, ExitReason, Failure};
use farm_core::engine::Retry;
use farm_core::session::{SessionError, ZnodePath};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_millis(500);
const RETRY_MOST: Duration = Duration::from_secs(10);

/// The content to start the child on, once the files are in place.
pub(super) type Start = Result<Option<Content>, Failure>;

/// The state of the first start.
#[derive(Debug)]
pub(super) struct Boot {
    state: State,
    /// When to start on the existing files.
    start_without_zk_at: Option<Instant>,
    /// When to write the files again after a failure.
    retry: Retry,
    /// zkexec is shutting down: no child is started any more.
    pub(super) is_stopping: bool,
}

#[derive(Debug)]
enum State {
    /// The znodes are being read.
    Reading,
    /// The files are being written and checked.
    Staging(Content),
    /// The child has been started.
    Done,
}

impl Boot {
    pub(super) fn new(now: Instant, start_without_zk: Option<Duration>) -> Self {
        Self {
            state: State::Reading,
            start_without_zk_at: start_without_zk.map(|wait| now + wait),
            retry: Retry::new(RETRY_LEAST, RETRY_MOST),
            is_stopping: false,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Reading => self.start_without_zk_at,
            State::Staging(_) => self.retry.deadline(),
            State::Done => None,
        }
    }

    /// Ends the first start: the child is being started.
    pub(super) fn started(&mut self) {
        self.state = State::Done;
    }

    /// Stages the content that was read, if that is new.
    pub(super) fn content_read(
        &mut self,
        now: Instant,
        content: &Content,
        stager: &mut Stager,
    ) -> Start {
        let is_new = match &self.state {
            State::Reading => true,
            State::Staging(staged) => staged != content,
            State::Done => false,
        };
        if is_new && !self.is_stopping {
            return self.stage(now, content.clone(), stager);
        }
        Ok(None)
    }

    /// Starts on the files that are there, if they exist and nothing is under way yet.
    pub(super) fn use_existing(&self, stager: &Stager) -> Option<Content> {
        let is_idle = matches!(self.state, State::Reading) && !self.is_stopping;
        (is_idle && stager.files.all_exist()).then(Content::unknown)
    }

    fn stage(&mut self, now: Instant, content: Content, stager: &mut Stager) -> Start {
        self.retry.cancel();
        let outcome = stager.stage(now, &content);
        self.state = State::Staging(content);
        outcome.map_or(Ok(None), |outcome| self.staged(now, outcome, stager))
    }

    /// Handles the result of staging.
    pub(super) fn staged(&mut self, now: Instant, outcome: Outcome, stager: &mut Stager) -> Start {
        let State::Staging(content) = &self.state else { return Ok(None) };
        if self.is_stopping {
            return Ok(None);
        }
        match outcome {
            Outcome::Ready => match stager.install() {
                Ok(()) => {
                    stager.forget_backups();
                    Ok(Some(content.clone()))
                }
                Err(error) => self.try_later(now, error),
            },
            Outcome::Failed(error) => self.try_later(now, error),
            Outcome::Refused if stager.files.all_exist() => {
                log::error!("starting with the existing files");
                Ok(Some(Content::unknown()))
            }
            Outcome::Refused => {
                Err(Failure::new(Exit::Malformed, "the check refuses the content in ZooKeeper")
                    .hint("there are no earlier files to start with"))
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

    /// Handles a timer; `latest` is the content that was read last.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        latest: Option<&Content>,
        stager: &mut Stager,
    ) -> Start {
        match &self.state {
            State::Reading => {
                self.start_without_zk_at = None;
                if stager.files.all_exist() {
                    log::warn!("ZooKeeper does not answer; starting with the existing files");
                    return Ok(Some(Content::unknown()));
                }
                log::warn!("ZooKeeper does not answer and some files do not exist; still waiting");
                Ok(None)
            }
            State::Staging(content) => {
                let content = latest.unwrap_or(content).clone();
                self.stage(now, content, stager)
            }
            State::Done => Ok(None),
        }
    }

    /// Handles a required znode that does not exist.
    pub(super) fn znode_missing(&self, path: ZnodePath) -> Result<(), Failure> {
        if self.is_done() {
            log::warn!(znode:% = path; "no such znode; its file stays");
            return Ok(());
        }
        Err(Failure::from(SessionError::NoNode(path))
            .hint("LOCAL=ZNODE,optional allows a znode to be missing"))
    }
}
