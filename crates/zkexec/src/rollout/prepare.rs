//! The steps before the child is affected: the permit, staging, the gates, draining.
//!
//! **Invariant.** The child sees nothing of these steps.

use super::phase::{ChildState, PermitState, Phase};
use super::{Action, AlertReason, Gates, OnChange, Rollout};
use std::time::Instant;

impl<C: Clone + PartialEq> Rollout<C> {
    pub(super) fn ask(&mut self) {
        if self.permit == PermitState::None {
            self.permit = PermitState::Asked;
            self.act(Action::Ask);
        }
    }

    pub(super) fn give_back(&mut self) {
        if self.permit != PermitState::None {
            self.permit = PermitState::None;
            self.act(Action::GiveBack);
        }
    }

    pub(super) fn granted(&mut self) {
        if self.permit != PermitState::Asked {
            return;
        }
        self.permit = PermitState::Held;
        if matches!(self.phase, Phase::Queued | Phase::Unconfirmed | Phase::Paused { .. }) {
            self.phase = Phase::Rereading;
            self.act(Action::Reread);
        }
    }

    pub(super) fn permit_lost(&mut self) {
        self.permit = PermitState::None;
        match self.phase {
            Phase::Queued | Phase::Paused { .. } => self.ask(),
            Phase::Rereading
            | Phase::Staging
            | Phase::Blocked
            | Phase::Draining
            | Phase::Installing => {
                self.undo_preparation();
                self.phase = self.waiting_phase();
                self.ask();
            }
            Phase::Soaking { .. } => self.finish(),
            // A child that was stopped is started first; there is no step to undo.
            Phase::NotStarted
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

    /// The phase in which to wait for a permit.
    pub(super) fn waiting_phase(&self) -> Phase {
        if self.is_confirmed && !self.is_rolled_back {
            Phase::Queued
        } else if self.child == ChildState::Up && !self.contents.has_failed() {
            Phase::Unconfirmed
        } else {
            Phase::Paused { retry_at: None }
        }
    }

    pub(super) fn undo_preparation(&mut self) {
        self.contents.staged = None;
        self.act(Action::Unstage);
        self.restore();
    }

    /// Puts this host back into service if the child works, or if zkexec is about to end.
    pub(super) fn restore(&mut self) {
        if self.is_drained && (self.is_confirmed || self.phase == Phase::Leaving) {
            self.is_drained = false;
            self.act(Action::Restore);
        }
    }

    /// Reads again: with the next connection, the turn either goes on or the permit is lost.
    pub(super) fn permit_unconfirmed(&mut self) {
        self.contents.staged = None;
        self.act(Action::Unstage);
        self.phase = Phase::Rereading;
        self.act(Action::Reread);
    }

    pub(super) fn reread(&mut self, content: C) {
        self.contents.wanted = Some(content);
        self.decide();
    }

    /// Stages the wanted content, or ends the turn or waits if there is nothing to stage.
    pub(super) fn decide(&mut self) {
        self.contents.staged = None;
        if self.is_settled() {
            self.finish();
        } else if self.has_untried_content() {
            self.stage();
        } else {
            self.phase = match self.waiting_phase() {
                // The permit is held already, and the wanted content is known to fail.
                Phase::Queued => Phase::Paused { retry_at: None },
                phase => phase,
            };
        }
    }

    pub(super) fn stage(&mut self) {
        if let Some(content) = self.contents.stage() {
            self.phase = Phase::Staging;
            self.act(Action::Stage(content));
        }
    }

    pub(super) fn refused(&mut self) {
        self.contents.failed = self.contents.staged.take();
        self.act(Action::Alert(AlertReason::Config));
        self.restore();
        self.pause(None);
    }

    /// Waits for other content, or for a retry of the same. The permit is kept or asked for again,
    /// so that the other members do not try this content.
    pub(super) fn pause(&mut self, retry_at: Option<Instant>) {
        self.phase = Phase::Paused { retry_at };
        if self.options.is_locked {
            self.ask();
        }
    }

    pub(super) fn cannot_write(&mut self, now: Instant) {
        self.contents.staged = None;
        self.act(Action::Unstage);
        if !self.is_write_failure_alerted {
            self.is_write_failure_alerted = true;
            self.act(Action::Alert(AlertReason::Config));
        }
        self.restore();
        let delay = self.backoff.delay();
        self.pause(Some(now + delay));
    }

    pub(super) fn gates_changed(&mut self, gates: Gates) {
        self.gates = gates;
        match self.phase {
            Phase::OffHours if gates.is_in_hours => self.begin(),
            Phase::Queued if !gates.is_in_hours => self.wait_for_hours(),
            Phase::Blocked => self.advance(),
            _ => {}
        }
    }

    pub(super) fn wait_for_hours(&mut self) {
        self.undo_preparation();
        self.give_back();
        self.phase = Phase::OffHours;
    }

    /// Takes the next step before the new files are put in place.
    pub(super) fn advance(&mut self) {
        // The gates protect a child that works; one that does not work never waits for them.
        let is_working = self.child == ChildState::Up && self.is_confirmed;
        let stops_child = is_working && self.options.on_change == OnChange::Restart;
        if is_working && !self.gates.is_in_hours && !self.is_rolled_back {
            self.wait_for_hours();
        } else if is_working && !self.gates.is_in_hours || stops_child && !self.gates.can_spare_us {
            self.phase = Phase::Blocked;
        } else if stops_child && self.options.drains && !self.is_drained {
            self.phase = Phase::Draining;
            self.act(Action::Drain);
        } else {
            self.phase = Phase::Installing;
            self.act(Action::Install);
        }
    }

    pub(super) fn drained(&mut self) {
        self.is_drained = true;
        match self.phase {
            Phase::Draining => self.advance(),
            // The turn goes on and will get to draining again.
            Phase::Rereading | Phase::Staging | Phase::Blocked | Phase::Installing => {}
            // Restored at the end.
            Phase::Leaving => {}
            // The turn was given up in the meantime.
            _ => self.restore(),
        }
    }
}
