//! The child is touched: stopped, started, told.
//!
//! **Invariant.** It is started only when nothing is left of the one before.

use super::phase::{Child, Phase};
use super::{Action, Alarm, OnChange, Rollout};
use std::time::Instant;

impl<C: Clone + PartialEq> Rollout<C> {
    pub(super) fn installed(&mut self) {
        if self.phase != Phase::Installing {
            return;
        }
        self.backoff.reset();
        self.is_trouble_told = false;
        self.running = self.staged.take();
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
            let is_done = match self.terms.on_change {
                OnChange::Nothing => true,
                OnChange::Command => !self.terms.has_health,
                OnChange::Restart | OnChange::Signal => false,
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
}
