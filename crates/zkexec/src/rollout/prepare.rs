//! What comes before the child is touched: the permit, the files beside the files, the gates.
//!
//! **Invariant.** Nothing that is done here can be seen by the child.

use super::phase::{Child, Permit, Phase};
use super::{Action, Alarm, Gates, OnChange, Rollout};
use std::time::Instant;

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
            | Phase::Blocked
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
        } else if self.child == Child::Up && !self.contents.has_failed() {
            Phase::Unconfirmed
        } else {
            Phase::Paused { retry_at: None }
        }
    }

    pub(super) fn unprepare(&mut self) {
        self.contents.staged = None;
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
        self.contents.staged = None;
        self.act(Action::Unstage);
        self.phase = Phase::Rereading;
        self.act(Action::Reread);
    }

    pub(super) fn reread(&mut self, content: C) {
        self.contents.wanted = Some(content);
        self.decide();
    }

    /// What the permit is good for.
    pub(super) fn decide(&mut self) {
        self.contents.staged = None;
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

    pub(super) fn stage(&mut self) {
        if let Some(content) = self.contents.stage() {
            self.phase = Phase::Staging;
            self.act(Action::Stage(content));
        }
    }

    pub(super) fn refused(&mut self) {
        self.contents.failed = self.contents.staged.take();
        self.act(Action::Alert(Alarm::Config));
        self.restore();
        self.pause(None);
    }

    /// Waits for other content, or to try the same again. The permit is kept, or
    /// asked for: who is stuck keeps the others from the same fate.
    pub(super) fn pause(&mut self, retry_at: Option<Instant>) {
        self.phase = Phase::Paused { retry_at };
        if self.terms.is_locked {
            self.ask();
        }
    }

    pub(super) fn cannot_write(&mut self, now: Instant) {
        self.contents.staged = None;
        self.act(Action::Unstage);
        if !self.is_trouble_told {
            self.is_trouble_told = true;
            self.act(Action::Alert(Alarm::Config));
        }
        self.restore();
        let delay = self.backoff.delay();
        self.pause(Some(now + delay));
    }

    pub(super) fn take_gates(&mut self, gates: Gates) {
        self.gates = gates;
        match self.phase {
            Phase::OffHours if gates.is_in_hours => self.begin(),
            Phase::Queued if !gates.is_in_hours => self.rest_until_hours(),
            Phase::Blocked => self.advance(),
            _ => {}
        }
    }

    pub(super) fn rest_until_hours(&mut self) {
        self.unprepare();
        self.give_back();
        self.phase = Phase::OffHours;
    }

    /// Takes the next step towards the moment at which the child is touched.
    pub(super) fn advance(&mut self) {
        // The gates protect a child that works; one that does not is never kept waiting.
        let is_at_work = self.child == Child::Up && self.is_confirmed;
        let is_taken_down = is_at_work && self.terms.on_change == OnChange::Restart;
        if is_at_work && !self.gates.is_in_hours && !self.is_rolled_back {
            self.rest_until_hours();
        } else if is_at_work && !self.gates.is_in_hours || is_taken_down && !self.gates.can_spare_us
        {
            self.phase = Phase::Blocked;
        } else if is_taken_down && self.terms.drains && !self.is_drained {
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
            // On the way there again.
            Phase::Rereading | Phase::Staging | Phase::Blocked | Phase::Installing => {}
            // The end comes soon, and restores.
            Phase::Leaving => {}
            // The turn was given up meanwhile.
            _ => self.restore(),
        }
    }
}
