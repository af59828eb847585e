//! Whether the new content works, and what follows.

use super::phase::{Child, Permit, Phase};
use super::{Action, Alarm, OnFailure, Rollout};
use std::time::{Duration, Instant};

impl<C: Clone + PartialEq> Rollout<C> {
    pub(super) fn config_failure(&mut self) {
        self.act(Action::Alert(Alarm::Config));
        let can_roll_back = self.terms.on_failure == OnFailure::RollBack
            && !self.is_rolled_back
            && self.good != self.running;
        self.is_confirmed = false;
        if !self.is_rolled_back {
            self.failed.clone_from(&self.running);
        }
        if can_roll_back {
            self.phase = Phase::PuttingBack;
            self.act(Action::PutBack);
        } else {
            self.stay_paused();
        }
    }

    pub(super) fn stay_paused(&mut self) {
        self.pause(None);
        self.reconsider();
    }

    pub(super) fn put_back(&mut self) {
        if self.phase == Phase::PuttingBack {
            self.running.clone_from(&self.good);
            self.is_rolled_back = true;
            self.touch_child();
        }
    }

    pub(super) fn put_back_failed(&mut self) {
        if self.phase == Phase::PuttingBack {
            self.stay_paused();
        }
    }

    pub(super) fn healthy(&mut self, now: Instant) {
        let is_told = !matches!(self.phase, Phase::Applying | Phase::Leaving);
        if self.child == Child::Up && !self.is_confirmed && is_told {
            self.confirmed(now);
        }
    }

    pub(super) fn confirmed(&mut self, now: Instant) {
        self.is_confirmed = true;
        self.confirm_by = None;
        if self.is_rolled_back {
            // It works on the old content; the new one is still no good.
            self.restore();
            if matches!(self.phase, Phase::Unconfirmed | Phase::Paused { .. }) {
                self.stay_paused();
            }
            return;
        }
        match self.phase {
            Phase::Unconfirmed | Phase::Paused { .. } if self.is_drained => {
                self.phase = Phase::Restoring;
                self.act(Action::Restore);
            }
            Phase::Unconfirmed | Phase::Paused { .. } => self.soak(now),
            // Newer content is being prepared already.
            _ => self.keep(),
        }
    }

    pub(super) fn restored(&mut self, now: Instant) {
        if self.phase == Phase::Restoring {
            self.is_drained = false;
            self.soak(now);
        }
    }

    pub(super) fn soak(&mut self, now: Instant) {
        if self.terms.soak > Duration::ZERO && self.permit == Permit::Held {
            self.phase = Phase::Soaking { until: now + self.terms.soak };
        } else {
            self.finish();
        }
    }

    /// What runs works: it is what would be put back.
    fn keep(&mut self) {
        if self.is_confirmed && self.good != self.running {
            self.good.clone_from(&self.running);
            self.failed = None;
            self.act(Action::Keep);
        }
    }

    /// Ends the turn, and begins the next one if there is a reason.
    pub(super) fn finish(&mut self) {
        self.restore();
        self.keep();
        self.staged = None;
        self.failed = None;
        self.is_rolled_back = false;
        self.give_back();
        self.phase = Phase::Settled;
        self.begin();
    }
}
