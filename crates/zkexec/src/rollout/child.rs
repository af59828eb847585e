//! The child is touched: stopped, started, told; whether it works, and what follows.
//!
//! **Invariant.** It is started only when nothing is left of the one before.

use super::phase::{Child, Permit, Phase};
use super::{Action, Alarm, OnChange, OnFailure, Rollout};
use std::time::{Duration, Instant};

impl<C: Clone + PartialEq> Rollout<C> {
    pub(super) fn installed(&mut self) {
        self.backoff.reset();
        self.is_trouble_told = false;
        self.contents.running = self.contents.staged.take();
        self.is_confirmed = false;
        self.is_rolled_back = false;
        self.touch_child();
    }

    /// Makes the child see what is in the files now.
    pub(super) fn touch_child(&mut self) {
        match self.child {
            Child::Down => self.start(),
            Child::Up if self.terms.on_change != OnChange::Restart => {
                self.phase = Phase::Applying;
                self.act(Action::RestHealth);
                self.act(Action::Apply);
            }
            Child::Up => {
                self.phase = Phase::Stopping;
                self.take_down();
            }
            Child::Going => self.phase = Phase::Stopping,
        }
    }

    pub(super) fn take_down(&mut self) {
        self.child = Child::Going;
        self.act(Action::StopChild);
        self.act(Action::RestHealth);
    }

    pub(super) fn start(&mut self) {
        self.phase = Phase::Stopping;
        self.act(Action::StartChild);
    }

    pub(super) fn started(&mut self, now: Instant) {
        self.child = Child::Up;
        if self.phase == Phase::Leaving {
            self.take_down();
        } else {
            self.await_confirmation(now);
        }
    }

    pub(super) fn await_confirmation(&mut self, now: Instant) {
        self.confirm_by = Some(now + self.terms.delay);
        self.phase = Phase::Unconfirmed;
        self.act(Action::CheckHealth);
        self.reconsider();
    }

    pub(super) fn start_failed(&mut self) {
        self.child = Child::Down;
        if self.phase == Phase::Leaving {
            self.end();
        } else if self.terms.is_locked {
            self.config_failure();
        } else {
            self.act(Action::Alert(Alarm::Exit));
            self.phase = Phase::Leaving;
            self.end();
        }
    }

    pub(super) fn applied(&mut self, now: Instant, is_success: bool) {
        let is_told = self.phase == Phase::Applying;
        // The command is tried again by itself, and may succeed later.
        let is_late = matches!(self.phase, Phase::Paused { .. }) && !self.is_confirmed;
        if is_told && !is_success {
            self.config_failure();
        } else if (is_told || is_late) && is_success {
            self.await_confirmation(now);
            let is_done = match &self.terms.on_change {
                OnChange::Nothing => true,
                OnChange::Command(_) => !self.terms.has_health,
                OnChange::Restart | OnChange::Signal(_) => false,
            };
            if is_done && self.phase == Phase::Unconfirmed {
                self.confirmed(now);
            }
        }
    }

    pub(super) fn ended(&mut self, is_success: bool) {
        if self.child != Child::Up {
            return;
        }
        // What it has left behind goes too.
        self.take_down();
        if self.phase == Phase::Leaving {
            return;
        }
        // Who soaks still holds the permit, so that nobody meets the same fate.
        let is_soaking = matches!(self.phase, Phase::Restoring | Phase::Soaking { .. });
        let is_restart = self.terms.is_locked && (!self.is_confirmed || is_soaking);
        if is_restart && !is_success {
            self.child_failed();
            return;
        }
        if !is_success {
            self.act(Action::Alert(Alarm::Exit));
        }
        self.leave();
    }

    /// The child failed before it was confirmed.
    pub(super) fn child_failed(&mut self) {
        match self.phase {
            Phase::Unconfirmed
            | Phase::Applying
            | Phase::Restoring
            | Phase::Soaking { .. }
            | Phase::Paused { .. } => self.config_failure(),
            // The next content is on its way already.
            _ => self.act(Action::Alert(Alarm::Config)),
        }
    }

    pub(super) fn gone(&mut self) {
        if self.child != Child::Going {
            return;
        }
        self.child = Child::Down;
        match self.phase {
            Phase::Stopping => self.start(),
            Phase::Leaving => self.end(),
            _ => {}
        }
    }

    pub(super) fn config_failure(&mut self) {
        self.act(Action::Alert(Alarm::Config));
        let can_roll_back = self.terms.on_failure == OnFailure::RollBack
            && !self.is_rolled_back
            && !self.contents.is_good();
        self.is_confirmed = false;
        if !self.is_rolled_back {
            self.contents.failed.clone_from(&self.contents.running);
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
        self.contents.running.clone_from(&self.contents.good);
        self.is_rolled_back = true;
        self.touch_child();
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
        self.is_drained = false;
        self.soak(now);
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
        if self.is_confirmed && self.contents.keep() {
            self.act(Action::Keep);
        }
    }

    /// Ends the turn, and begins the next one if there is a reason.
    pub(super) fn finish(&mut self) {
        self.restore();
        self.keep();
        self.contents.staged = None;
        self.contents.failed = None;
        self.is_rolled_back = false;
        self.give_back();
        self.phase = Phase::Settled;
        self.begin();
    }
}
