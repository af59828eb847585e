//! The command that tells whether the child is well.

use crate::health::{Finding, Health, Regime};
use farm_core::process::command::{Executor, Failed, Finished};
use nix::unistd::Pid;
use std::time::Instant;

/// Who checks the child's health.
#[derive(Debug)]
pub(super) struct Checkup {
    command: String,
    health: Health,
    check: Executor,
}

impl Checkup {
    pub(super) const fn new(command: String, regime: Regime, check: Executor) -> Self {
        Self { command, health: Health::new(regime), check }
    }

    /// The first child runs.
    pub(super) fn begin(&mut self, now: Instant) {
        self.health.begin(now);
    }

    /// Somebody waits for the answer.
    pub(super) fn begin_at_once(&mut self, now: Instant) {
        self.health.begin_at_once(now);
    }

    /// There is nothing to check.
    pub(super) fn rest(&mut self) {
        self.health.rest();
        self.check.cancel();
    }

    /// Takes the end of a check.
    pub(super) fn finished(&mut self, now: Instant, finished: &Finished) -> Finding {
        let Some(verdict) = self.check.finished(finished) else { return Finding::Nothing };
        match &verdict {
            Ok(()) => log::info!("successful health check"),
            Err(Failed { reason, said }) => {
                log::warn!("failed health check: {reason}");
                for line in said {
                    log::warn!("the health check said: {line}");
                }
            }
        }
        self.health.answered(now, verdict.is_ok())
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        self.check.pid()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.health.deadline(), self.check.deadline()].into_iter().flatten().min()
    }

    /// Does what is due. What can't be started has failed.
    pub(super) fn tick(&mut self, now: Instant) -> Finding {
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
