//! The command that alerts somebody.
//!
//! **Invariant.** Every alarm runs the command once, one after the other; a flood of
//! them is cut short, and says so.

use crate::rollout::Alarm;
use farm_core::process::command::{Environment, Executor, Finished};
use log::Level;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many alarms may wait; what else happens meanwhile is more of the same.
const WAITING_MAX: usize = 100;

/// Who alerts.
#[derive(Debug)]
pub(super) struct Alerts {
    command: String,
    /// Driven by the loop.
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

    /// Runs the command for this, now or after the ones before. `status` is how the
    /// child ended, if it did.
    pub(super) fn raise(
        &mut self,
        now: Instant,
        alarm: Alarm,
        pid: Option<Pid>,
        status: Option<u8>,
    ) {
        let event = alarm.name();
        if self.waiting.len() == WAITING_MAX {
            log::warn!(event; "too many alarms at once, one is dropped");
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
            if let Err(error) = self.executor.start(now, &self.command, &environment) {
                log::warn!("the alert can't be started: {error}");
            }
        }
    }

    /// Takes the end of a run.
    pub(super) fn finished(&mut self, now: Instant, finished: &Finished) {
        let Some(verdict) = self.executor.finished(finished) else { return };
        if let Err(failed) = verdict {
            log::warn!(cmd:? = self.command; "the alert failed: {}", failed.reason);
            failed.log_said(Level::Warn, "the alert");
        }
        self.advance(now);
    }

    /// Whether somebody is still to be alerted.
    pub(super) fn is_busy(&self) -> bool {
        self.executor.pid().is_some()
    }
}
