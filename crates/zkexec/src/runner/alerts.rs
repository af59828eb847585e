//! The command of `--alert`.
//!
//! **Invariant.** Each alert runs the command once, one at a time. Alerts beyond
//! `WAITING_MAX` are dropped and logged.

use crate::rollout::AlertReason;
use farm_core::process::command::{Environment, Executor, Finished};
use log::Level;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most alerts that may wait.
const WAITING_MAX: usize = 100;

/// The queue of alerts and the command that is running.
#[derive(Debug)]
pub(super) struct Alerts {
    command: String,
    /// The main loop calls its `tick`.
    pub(super) executor: Executor,
    waiting: VecDeque<Environment>,
}

impl Alerts {
    pub(super) fn new(
        command: String,
        limit: Duration,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Self {
        Self { command, executor: Executor::new(limit, post), waiting: VecDeque::new() }
    }

    /// Runs the command, now or after the alerts before. `status` is the exit code of the child,
    /// if it has ended.
    pub(super) fn raise(
        &mut self,
        now: Instant,
        reason: AlertReason,
        pid: Option<Pid>,
        status: Option<u8>,
    ) {
        let event = reason.name();
        if self.waiting.len() == WAITING_MAX {
            log::warn!(event; "too many alerts are waiting; one is dropped");
            return;
        }
        let text = |value: Option<String>| value.unwrap_or_default();
        self.waiting.push_back(vec![
            ("ZKEXEC_EVENT", event.to_owned()),
            ("ZKEXEC_PID", text(pid.map(|pid| pid.to_string()))),
            ("ZKEXEC_STATUS", text(status.map(|status| status.to_string()))),
        ]);
        self.advance(now);
    }

    fn advance(&mut self, now: Instant) {
        while !self.is_busy()
            && let Some(environment) = self.waiting.pop_front()
        {
            log::info!("alerting via: {}", self.command);
            self.executor.start(now, &self.command, &environment);
        }
    }

    /// Handles the end of a run.
    pub(super) fn finished(&mut self, now: Instant, finished: &Finished) {
        let Some(verdict) = self.executor.finished(finished) else { return };
        if let Err(failed) = verdict {
            log::warn!(cmd:? = self.command; "the alert failed: {}", failed.reason);
            failed.log_output(Level::Warn, "the alert");
        }
        self.advance(now);
    }

    /// Whether an alert is still running.
    pub(super) const fn is_busy(&self) -> bool {
        self.executor.is_busy()
    }
}
