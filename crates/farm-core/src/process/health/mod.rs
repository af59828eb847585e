//! Health checks: a command that runs at each interval and shows whether the child is healthy.
//!
//! **Invariant.** One check runs at a time, and it is killed at its limit, because a turn may wait
//! for its result.

mod machine;

pub use machine::{Finding, HealthPolicy};

use super::command::{Executor, Finished};
use log::Level;
use machine::Health;
use nix::unistd::Pid;
use std::time::Instant;

/// The health checks of the child.
///
/// The loop that owns it drives it like an [`Executor`], and gets a [`Finding`] after each check.
#[derive(Debug)]
pub struct Checkup {
    command: String,
    health: Health,
    check: Executor,
}

impl Checkup {
    /// Checks with `sh -c command`, from [`Checkup::begin`] or [`Checkup::begin_now`] on;
    /// `post` is called on another thread when a check ends.
    #[must_use]
    pub fn new(
        command: String,
        policy: HealthPolicy,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Self {
        let check = Executor::new(policy.limit, post).without_grace();
        Self { command, health: Health::new(policy), check }
    }

    /// The child was started for the first time: the first check comes after the delay.
    pub fn begin(&mut self, now: Instant) {
        self.health.begin(now);
    }

    /// The child was restarted, or got the signal of a change: the first check comes at once.
    pub fn begin_now(&mut self, now: Instant) {
        self.health.begin_now(now);
    }

    /// There is nothing to check now.
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
                failed.log_output(Level::Warn, "the health check");
            }
        }
        self.health.answered(now, verdict.is_ok())
    }

    /// The pid of the check, until it is reaped.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.check.pid()
    }

    /// When [`Checkup::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        [self.health.deadline(), self.check.deadline()].into_iter().flatten().min()
    }

    /// Does what is due. A check that can't be started counts as failed.
    pub fn tick(&mut self, now: Instant) -> Finding {
        self.check.tick(now);
        if !self.health.is_due(now) {
            return Finding::Nothing;
        }
        log::info!("health checking via: {}", self.command);
        self.check.start(now, &self.command, &[]);
        Finding::Nothing
    }
}
