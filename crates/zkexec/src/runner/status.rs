//! What the service manager is told.

use super::Runner;
use crate::rollout::Phase;

impl Runner {
    pub(super) fn say_status(&mut self) {
        let is_well = self.checkup.is_none() || self.was_healthy;
        if self.family.is_up() && is_well {
            self.notifier.ready();
        }
        let status = if self.boot.is_done() { self.turn_status() } else { self.boot_status() };
        self.notifier.status(status);
    }

    const fn boot_status(&self) -> &'static str {
        if self.had_contact { "preparing the first start" } else { "looking for ZooKeeper" }
    }

    fn turn_status(&self) -> &'static str {
        match self.rollout.phase() {
            Phase::Unbegun | Phase::Settled => "running",
            Phase::OffHours => "running; new content waits for the allowed hours",
            Phase::Queued => "running; new content waits for the lock",
            Phase::Rereading | Phase::Staging | Phase::Draining | Phase::Installing => {
                "running; about to restart"
            }
            Phase::Barred => "running; holding the lock until the farm can spare this host",
            Phase::Stopping | Phase::PuttingBack => "restarting",
            Phase::Applying | Phase::Unconfirmed | Phase::Restoring => {
                "running on new content, not confirmed yet"
            }
            Phase::Soaking { .. } => "running on new content, confirmed; keeping the lock a while",
            Phase::Paused { .. } if !self.rollout.is_confirmed() => {
                "paused: the new content does not work; waiting for other"
            }
            Phase::Paused { .. } if self.rollout.is_holder() => {
                "running, holding the lock: the new content is no good; waiting for other"
            }
            Phase::Paused { .. } => "running; the new content is no good; waiting for other",
            Phase::Leaving => "stopping",
        }
    }
}
