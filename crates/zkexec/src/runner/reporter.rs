//! What the service manager and the log hear of the rollout.

use crate::rollout::{Phase, Rollout};
use crate::status::Status;
use farm_core::cli::Notifier;
use farm_core::engine::LogOnce;
use farm_core::farm::turn::{FarmVerdict, Obstacle, UnknownReason};

/// Tells the service manager and the log.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) notifier: Notifier,
    /// Logs each obstacle to a turn once.
    obstacle_log: LogOnce,
}

impl Reporter {
    pub(super) fn new() -> Self {
        Self { notifier: Notifier::from_environment(), obstacle_log: LogOnce::default() }
    }

    /// Tells the service manager what zkexec is doing.
    pub(super) fn tell<C>(&mut self, is_ready: bool, start: Result<&Rollout<C>, Status>)
    where
        C: Clone + PartialEq + crate::rollout::Versioned,
    {
        if is_ready {
            self.notifier.ready();
        }
        let status = start.map_or_else(
            |status| status,
            |rollout| Status::Started {
                phase: rollout.phase(),
                is_confirmed: rollout.is_confirmed(),
                is_holder: rollout.is_holder(),
            },
        );
        self.notifier.status(&status);
    }

    /// Logs why a turn may not stop the child yet, once per reason.
    pub(super) fn log_obstacle(&mut self, phase: Phase, obstacle: Option<Obstacle>) {
        match obstacle.filter(|_| phase == Phase::Blocked) {
            Some(Obstacle::Farm(FarmVerdict::Unknown(UnknownReason::Reading))) => {}
            Some(obstacle @ (Obstacle::Farm(_) | Obstacle::OffHours)) => {
                log::warn!(logger: self.obstacle_log, "the command is not stopped yet: {obstacle}");
            }
            _ => {
                self.obstacle_log.clear();
            }
        }
    }
}
