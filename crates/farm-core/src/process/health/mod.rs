//! Health checks: a command that tells whether something is well, at each interval.
//!
//! **Invariant.** One check at a time, killed at its limit: somebody waits for its answer.

mod machine;

pub use machine::{Finding, HealthPolicy};

use super::command::{Executor, Finished};
use log::Level;
use machine::Health;
use nix::unistd::Pid;
use std::time::Instant;

/// The health checks of one thing.
///
/// The loop that owns it drives it as it drives an [`Executor`], and learns what the
/// answers mean.
#[derive(Debug)]
pub struct Checkup {
    command: String,
    health: Health,
    check: Executor,
}

impl Checkup {
    /// Checks by `sh -c command`, none before one of the two begins; `post` is called on
    /// another thread when a check ends.
    #[must_use]
    pub fn new(
        command: String,
        policy: HealthPolicy,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Self {
        let check = Executor::new(policy.limit, post).without_grace();
        Self { command, health: Health::new(policy), check }
    }

    /// What is to be checked was started for the first time.
    pub fn begin(&mut self, now: Instant) {
        self.health.begin(now);
    }

    /// It was started again, or told of a change: somebody waits for the answer.
    pub fn begin_at_once(&mut self, now: Instant) {
        self.health.begin_at_once(now);
    }

    /// There is nothing to check.
    pub fn rest(&mut self) {
        self.health.rest();
        self.check.cancel();
    }

    /// Takes the end of a check.
    pub fn finished(&mut self, now: Instant, finished: &Finished) -> Finding {
        let Some(verdict) = self.check.finished(finished) else { return Finding::Nothing };
        match &verdict {
            Ok(()) => log::info!("successful health check"),
            Err(failed) => {
                log::warn!("failed health check: {}", failed.reason);
                failed.log_said(Level::Warn, "the health check");
            }
        }
        self.health.answered(now, verdict.is_ok())
    }

    /// The process of the check, as long as there is one to reap.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.check.pid()
    }

    /// When [`Checkup::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.health.deadline(), self.check.deadline()].into_iter().flatten().min()
    }

    /// Does what is due. What can't be started has failed.
    pub fn tick(&mut self, now: Instant) -> Finding {
        self.check.tick(now);
        if !self.health.is_due(now) {
            return Finding::Nothing;
        }
        log::info!("health checking via: {}", self.command);
        match self.check.start(now, &self.command, &[]) {
            Ok(()) => Finding::Nothing,
            Err(error) => {
                log::warn!("the health check can't be started: {error}");
                self.health.answered(now, false)
            }
        }
    }
}
