//! The commands that run beside the child: health checks, alerts, what tells it of a change.

use super::alerts::{About, Alerts};
use super::supervisor::Supervisor;
use crate::options::{HealthConfig, Reaction};
use crate::rollout::{Alarm, Event as Step};
use farm_core::process::command::{Executor, Finished};
use farm_core::process::family::Pid;
use farm_core::process::health::{Checkup, Finding};
use farm_core::process::hook::Hook;
use std::time::{Duration, Instant};

/// How a command ended, and which one it was.
#[derive(Debug)]
pub(super) enum Ended {
    Health(Finished),
    Alert(Finished),
    Change(Finished),
}

/// All of them.
#[derive(Debug)]
pub(super) struct Commands {
    checkup: Option<Checkup>,
    was_healthy: bool,
    alerts: Option<Alerts>,
    reaction: Reaction,
    /// Of a reaction that is a command.
    hook: Option<Hook>,
}

impl Commands {
    /// Nothing runs yet; `post` is called on other threads.
    pub(super) fn new(
        limit: Duration,
        health: Option<HealthConfig>,
        alert: Option<String>,
        reaction: Reaction,
        post: impl Fn(Ended) + Clone + Send + Sync + 'static,
    ) -> Self {
        let posting = |ended: fn(Finished) -> Ended| {
            let post = post.clone();
            move |finished| post(ended(finished))
        };
        let checkup = health.map(|HealthConfig { command, limit, regime }| {
            Checkup::new(command, regime, Executor::new(limit, posting(Ended::Health)))
        });
        let alerts =
            alert.map(|command| Alerts::new(command, Executor::new(limit, posting(Ended::Alert))));
        let hook = match &reaction {
            Reaction::Command(command) => {
                Some(Hook::new(command.clone(), limit, posting(Ended::Change)))
            }
            Reaction::Restart | Reaction::Nothing | Reaction::Signal(_) => None,
        };
        Self { checkup, was_healthy: false, alerts, reaction, hook }
    }

    /// Whether nothing is known against the child.
    pub(super) const fn is_well(&self) -> bool {
        self.checkup.is_none() || self.was_healthy
    }

    pub(super) fn is_alerting(&self) -> bool {
        self.alerts.as_ref().is_some_and(Alerts::is_busy)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let checkup = self.checkup.as_ref().and_then(Checkup::deadline);
        let alerts = self.alerts.as_ref().and_then(|alerts| alerts.executor.deadline());
        let hook = self.hook.as_ref().and_then(Hook::deadline);
        [checkup, alerts, hook].into_iter().flatten().min()
    }

    /// The processes that are reaped here.
    pub(super) fn pids(&self) -> impl Iterator<Item = Pid> {
        let checkup = self.checkup.as_ref().and_then(Checkup::pid);
        let alerts = self.alerts.as_ref().and_then(|alerts| alerts.executor.pid());
        let hook = self.hook.as_ref().and_then(Hook::pid);
        [checkup, alerts, hook].into_iter().flatten()
    }

    /// The child was started for the first time.
    pub(super) fn begin_checks(&mut self, now: Instant) {
        self.checkup.iter_mut().for_each(|checkup| checkup.begin(now));
    }

    /// It was started again, or told of a change.
    pub(super) fn check_at_once(&mut self, now: Instant) {
        self.checkup.iter_mut().for_each(|checkup| checkup.begin_at_once(now));
    }

    /// There is no child to check.
    pub(super) fn rest_checks(&mut self) {
        self.checkup.iter_mut().for_each(Checkup::rest);
    }

    /// Tells the child of the change; the outcome, unless a command has to end first.
    pub(super) fn apply<C>(&mut self, now: Instant, child: &Supervisor) -> Option<Step<C>> {
        match &self.reaction {
            Reaction::Signal(signal) => {
                log::info!("sending {signal}");
                child.signal(*signal);
            }
            Reaction::Command(text) => {
                log::info!("running {text}");
                if let Some(hook) = &mut self.hook {
                    hook.request(now, vec![("ZK_EVENT", "change".to_owned())]);
                    return None;
                }
            }
            Reaction::Restart | Reaction::Nothing => {}
        }
        Some(Step::Applied { is_success: true })
    }

    pub(super) fn alert(&mut self, now: Instant, alarm: Alarm, child: &Supervisor) {
        let about = match alarm {
            Alarm::Exit => About::Exit,
            Alarm::Config => {
                log::error!("config failure: the new content does not work");
                About::Config
            }
        };
        let status = if child.is_up() { None } else { child.exit_code() };
        if let Some(alerts) = &mut self.alerts {
            alerts.raise(now, about, child.pid(), status);
        }
    }

    /// Nobody else is alerted.
    pub(super) fn drop_alerts(&mut self) {
        self.alerts = None;
    }

    /// Takes the end of a command.
    pub(super) fn ended<C>(
        &mut self,
        now: Instant,
        ended: &Ended,
        child: &Supervisor,
    ) -> Option<Step<C>> {
        match ended {
            Ended::Health(finished) => {
                let finding = self.checkup.as_mut()?.finished(now, finished);
                self.found(now, finding, child)
            }
            Ended::Alert(finished) => {
                self.alerts.as_mut()?.finished(now, finished);
                None
            }
            Ended::Change(finished) => {
                let is_success = self.hook.as_mut()?.finished(now, finished)?;
                Some(Step::Applied { is_success })
            }
        }
    }

    /// Does what is due.
    pub(super) fn tick<C>(&mut self, now: Instant, child: &Supervisor) -> Option<Step<C>> {
        if let Some(alerts) = &mut self.alerts {
            alerts.executor.tick(now);
        }
        if let Some(hook) = &mut self.hook {
            hook.tick(now);
        }
        let finding = self.checkup.as_mut()?.tick(now);
        self.found(now, finding, child)
    }

    fn found<C>(&mut self, now: Instant, finding: Finding, child: &Supervisor) -> Option<Step<C>> {
        match finding {
            Finding::Nothing => None,
            Finding::Failing => {
                if let Some(alerts) = &mut self.alerts {
                    alerts.raise(now, About::Health, child.pid(), None);
                }
                None
            }
            Finding::Healthy => {
                self.was_healthy = true;
                Some(Step::Healthy)
            }
        }
    }
}
