//! What comes before the child is touched.
//!
//! **Invariant.** Nothing that is done here can be seen by the child.

use super::phase::{Child, Phase};
use super::{Action, Alarm, Gates, OnChange, Rollout};
use std::time::Instant;

impl<C: Clone + PartialEq> Rollout<C> {
    pub(super) fn stage(&mut self) {
        if let Some(content) = self.wanted.clone() {
            self.staged = Some(content.clone());
            self.phase = Phase::Staging;
            self.act(Action::Stage(content));
        }
    }

    pub(super) fn staged(&mut self) {
        if self.phase == Phase::Staging {
            self.advance();
        }
    }

    pub(super) fn refused(&mut self) {
        if self.phase == Phase::Staging {
            self.failed = self.staged.take();
            self.act(Action::Alert(Alarm::Config));
            self.restore();
            self.pause(None);
        }
    }

    /// Waits for other content, or to try the same again. The permit is kept, or
    /// asked for: who is stuck keeps the others from the same fate.
    pub(super) fn pause(&mut self, retry_at: Option<Instant>) {
        self.phase = Phase::Paused { retry_at };
        if self.terms.is_locked {
            self.ask();
        }
    }

    pub(super) fn cannot_write(&mut self, now: Instant, during: Phase) {
        if self.phase != during {
            return;
        }
        self.staged = None;
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
            Phase::Barred => self.advance(),
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
            self.phase = Phase::Barred;
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
            Phase::Rereading | Phase::Staging | Phase::Barred | Phase::Installing => {}
            // The end comes soon, and restores.
            Phase::Leaving => {}
            // The turn was given up meanwhile.
            _ => self.restore(),
        }
    }
}
