//! How a rollout stands with the permit.

use super::phase::{Child, Permit, Phase};
use super::{Action, Rollout};

impl<C: Clone + PartialEq> Rollout<C> {
    pub(super) fn ask(&mut self) {
        if self.permit == Permit::None {
            self.permit = Permit::Asked;
            self.act(Action::Ask);
        }
    }

    pub(super) fn give_back(&mut self) {
        if self.permit != Permit::None {
            self.permit = Permit::None;
            self.act(Action::GiveBack);
        }
    }

    pub(super) fn granted(&mut self) {
        if self.permit != Permit::Asked {
            return;
        }
        self.permit = Permit::Held;
        if matches!(self.phase, Phase::Queued | Phase::Unconfirmed | Phase::Paused { .. }) {
            self.phase = Phase::Rereading;
            self.act(Action::Reread);
        }
    }

    pub(super) fn permit_lost(&mut self) {
        self.permit = Permit::None;
        match self.phase {
            Phase::Queued | Phase::Paused { .. } => self.ask(),
            Phase::Rereading
            | Phase::Staging
            | Phase::Barred
            | Phase::Draining
            | Phase::Installing => {
                self.unprepare();
                self.phase = self.resting_phase();
                self.ask();
            }
            Phase::Soaking { .. } => self.finish(),
            // A child that is down comes up first; there is no further step to take.
            Phase::Unbegun
            | Phase::Settled
            | Phase::OffHours
            | Phase::Stopping
            | Phase::Applying
            | Phase::PuttingBack
            | Phase::Unconfirmed
            | Phase::Restoring
            | Phase::Leaving => {}
        }
    }

    /// Where to wait for a permit.
    pub(super) fn resting_phase(&self) -> Phase {
        if self.is_confirmed && !self.is_rolled_back {
            Phase::Queued
        } else if self.child == Child::Up && self.failed != self.running {
            Phase::Unconfirmed
        } else {
            Phase::Paused { retry_at: None }
        }
    }

    pub(super) fn unprepare(&mut self) {
        self.staged = None;
        self.act(Action::Unstage);
        self.restore();
    }

    /// Takes us into service again, if the child is fit for it, or nobody else will.
    pub(super) fn restore(&mut self) {
        if self.is_drained && (self.is_confirmed || self.phase == Phase::Leaving) {
            self.is_drained = false;
            self.act(Action::Restore);
        }
    }

    /// Nothing was touched; after the next contact it shows whether the permit is
    /// still ours.
    pub(super) fn lease_over(&mut self) {
        if self.phase == Phase::Installing {
            self.staged = None;
            self.act(Action::Unstage);
            self.phase = Phase::Rereading;
            self.act(Action::Reread);
        }
    }

    pub(super) fn reread(&mut self, content: C) {
        if self.phase == Phase::Rereading {
            self.wanted = Some(content);
            self.decide();
        }
    }

    /// What the permit is good for.
    pub(super) fn decide(&mut self) {
        self.staged = None;
        if self.is_settled() {
            self.finish();
        } else if self.has_news() {
            self.stage();
        } else {
            self.phase = match self.resting_phase() {
                // There is nothing to wait for: what is wanted is known not to work.
                Phase::Queued => Phase::Paused { retry_at: None },
                phase => phase,
            };
        }
    }
}
