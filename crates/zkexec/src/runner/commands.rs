//! The commands that run beside the child: health checks, alerts, and `--on-change cmd:`.

use super::alerts::Alerts;
use super::event::Event;
use super::supervisor::Supervisor;
use crate::options::CommandsConfig;
use crate::rollout::{AlertReason, Event as Step, OnChange};
use farm_core::engine::Outbox;
use farm_core::process::command::Finished;
use farm_core::process::health::{Checkup, Finding};
use farm_core::process::hook::Hook;
use farm_core::process::tree::Pid;
use std::time::Instant;

/// The health check, the alerts, and the command of `--on-change`.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) checkup: Option<Checkup>,
    was_healthy: bool,
    /// The outcome of the last health check.
    last_check: Option<bool>,
    pub(super) alerts: Option<Alerts>,
    on_change: OnChange,
    /// The command of `--on-change cmd:`.
    hook: Option<Hook>,
}

impl Commands {
    /// Starts none of them yet.
    pub(super) fn new(config: CommandsConfig, on_change: OnChange, outbox: &Outbox<Event>) -> Self {
        let CommandsConfig { limit, health, alert } = config;
        let checkup = health.map(|(command, policy)| {
            Checkup::new(command, policy, outbox.posting(Event::HealthCheckFinished))
        });
        let alerts =
            alert.map(|command| Alerts::new(command, limit, outbox.posting(Event::AlertFinished)));
        let hook = match &on_change {
            OnChange::Command(command) => Some(Hook::new(
                command.clone(),
                limit,
                outbox.posting(Event::ChangeCommandFinished),
            )),
            OnChange::Restart | OnChange::Nothing | OnChange::Signal(_) => None,
        };
        Self { checkup, was_healthy: false, last_check: None, alerts, on_change, hook }
    }

    /// Whether a health check has succeeded, or there is none.
    pub(super) const fn is_healthy(&self) -> bool {
        self.checkup.is_none() || self.was_healthy
    }

    /// Whether the last health check has succeeded; `None` before one has ended.
    pub(super) const fn last_check(&self) -> Option<bool> {
        self.last_check
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let checkup = self.checkup.as_ref().and_then(Checkup::deadline);
        let alerts = self.alerts.as_ref().and_then(|alerts| alerts.executor.deadline());
        let hook = self.hook.as_ref().and_then(Hook::deadline);
        [checkup, alerts, hook].into_iter().flatten().min()
    }

    /// The processes that these commands reap.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        let checkup = self.checkup.as_ref().and_then(Checkup::pid);
        let alerts = self.alerts.as_ref().and_then(|alerts| alerts.executor.pid());
        let hook = self.hook.as_ref().and_then(Hook::pid);
        [checkup, alerts, hook].into_iter().flatten()
    }

    /// Notifies the child of changed files; returns the result unless a command has to finish
    /// first.
    pub(super) fn apply<C>(&mut self, now: Instant, child: &Supervisor) -> Option<Step<C>> {
        match &self.on_change {
            OnChange::Signal(signal) => {
                log::info!("sending {signal}");
                child.processes.signal(*signal);
            }
            OnChange::Command(text) => {
                log::info!("running {text}");
                if let Some(hook) = &mut self.hook {
                    hook.request(now, vec![("ZK_EVENT", "change".to_owned())]);
                    return None;
                }
            }
            OnChange::Restart | OnChange::Nothing => {}
        }
        Some(Step::Applied { is_success: true })
    }

    pub(super) fn alert(&mut self, now: Instant, reason: AlertReason, child: &Supervisor) {
        if reason == AlertReason::Config {
            log::error!("config failure: the new content does not work");
        }
        let has_ended = reason != AlertReason::Health && !child.processes.is_up();
        let status = if has_ended { child.exit_code } else { None };
        if let Some(alerts) = &mut self.alerts {
            alerts.raise(now, reason, child.pid, status);
        }
    }

    /// Handles the end of a health check.
    pub(super) fn health_check_finished<C>(
        &mut self,
        now: Instant,
        finished: &Finished,
        child: &Supervisor,
    ) -> Option<Step<C>> {
        let finding = self.checkup.as_mut()?.finished(now, finished);
        self.handle_finding(now, finding, child)
    }

    /// Handles the end of the command of `--on-change`.
    pub(super) fn change_command_finished<C>(
        &mut self,
        now: Instant,
        finished: &Finished,
    ) -> Option<Step<C>> {
        let is_success = self.hook.as_mut()?.finished(now, finished)?;
        Some(Step::Applied { is_success })
    }

    /// Starts a health check or a retry, or ends a command, if that is due.
    pub(super) fn tick<C>(&mut self, now: Instant, child: &Supervisor) -> Option<Step<C>> {
        if let Some(alerts) = &mut self.alerts {
            alerts.executor.tick(now);
        }
        if let Some(hook) = &mut self.hook {
            hook.tick(now);
        }
        let finding = self.checkup.as_mut()?.tick(now);
        self.handle_finding(now, finding, child)
    }

    fn handle_finding<C>(
        &mut self,
        now: Instant,
        finding: Finding,
        child: &Supervisor,
    ) -> Option<Step<C>> {
        match finding {
            Finding::Nothing => None,
            Finding::Failing => {
                self.last_check = Some(false);
                self.alert(now, AlertReason::Health, child);
                None
            }
            Finding::Healthy => {
                self.was_healthy = true;
                self.last_check = Some(true);
                Some(Step::Healthy)
            }
        }
    }
}
