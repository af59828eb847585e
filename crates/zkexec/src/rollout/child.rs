//! The steps that affect the child: stop, start, notify, and what follows if it works or fails.
//!
//! **Invariant.** A child is started only when the previous one and its descendants are gone.

use super::phase::{ChildState, PermitState, Phase};
use super::{Action, AlertReason, OnChange, OnFailure, Rollout, Versioned};
use std::time::{Duration, Instant};

impl<C: Clone + PartialEq + Versioned> Rollout<C> {
    pub(super) fn installed(&mut self) {
        self.backoff.reset();
        self.is_write_failure_alerted = false;
        self.group.begin_trial();
        // Nothing was staged for a mere restart.
        if let Some(staged) = self.contents.staged.take() {
            self.contents.running = Some(staged);
        }
        if self.group.retried() {
            self.contents.failed = None;
        }
        self.is_confirmed = false;
        self.is_rolled_back = false;
        self.restart_or_notify();
    }

    /// Restarts the child, or notifies it, so that it uses the new files.
    pub(super) fn restart_or_notify(&mut self) {
        match self.child {
            ChildState::Down => self.start(),
            ChildState::Up
                if self.options.on_change != OnChange::Restart && !self.group.wants_restart() =>
            {
                self.phase = Phase::Applying;
                self.act(Action::PauseHealth);
                self.act(Action::Apply);
            }
            ChildState::Up => {
                self.phase = Phase::Stopping;
                self.take_down();
            }
            ChildState::Stopping => self.phase = Phase::Stopping,
        }
    }

    pub(super) fn take_down(&mut self) {
        self.child = ChildState::Stopping;
        self.act(Action::StopChild);
        self.act(Action::PauseHealth);
    }

    pub(super) fn start(&mut self) {
        self.phase = Phase::Stopping;
        self.group.child_starts();
        self.act(Action::StartChild);
    }

    pub(super) fn started(&mut self, now: Instant) {
        self.child = ChildState::Up;
        if self.phase == Phase::Leaving {
            self.take_down();
        } else {
            self.await_confirmation(now);
        }
    }

    pub(super) fn await_confirmation(&mut self, now: Instant) {
        self.confirm_by = Some(now + self.options.delay);
        self.phase = Phase::Unconfirmed;
        self.act(Action::CheckHealth);
        self.reconsider();
    }

    pub(super) fn start_failed(&mut self) {
        self.child = ChildState::Down;
        if self.phase == Phase::Leaving {
            self.end();
        } else if self.options.is_locked {
            self.config_failure();
        } else {
            self.act(Action::Alert(AlertReason::Exit));
            self.phase = Phase::Leaving;
            self.end();
        }
    }

    pub(super) fn applied(&mut self, now: Instant, is_success: bool) {
        let is_expected = self.phase == Phase::Applying;
        // The runner retries a failed command, which may succeed later.
        let is_late = matches!(self.phase, Phase::Failed { .. }) && !self.is_confirmed;
        if is_expected && !is_success {
            self.config_failure();
        } else if (is_expected || is_late) && is_success {
            self.await_confirmation(now);
            let is_done = match &self.options.on_change {
                OnChange::Nothing => true,
                OnChange::Command(_) => !self.options.has_health,
                OnChange::Restart | OnChange::Signal(_) => false,
            };
            if is_done && self.phase == Phase::Unconfirmed {
                self.confirmed(now);
            }
        }
    }

    pub(super) fn ended(&mut self, is_success: bool) {
        if self.child != ChildState::Up {
            return;
        }
        // Its descendants are stopped as well.
        self.take_down();
        if self.phase == Phase::Leaving {
            return;
        }
        // While soaking, the permit is still held: a failure then keeps the content from the
        // other members.
        let is_soaking =
            matches!(self.phase, Phase::Restoring | Phase::Soaking { .. } | Phase::Recording);
        let is_restart = self.options.is_locked && (!self.is_confirmed || is_soaking);
        if is_restart && !is_success {
            self.child_failed();
            return;
        }
        if !is_success {
            self.act(Action::Alert(AlertReason::Exit));
        }
        self.leave();
    }

    /// Handles a child that failed before it was confirmed, or while its member soaked.
    pub(super) fn child_failed(&mut self) {
        match self.phase {
            Phase::Unconfirmed
            | Phase::Applying
            | Phase::Restoring
            | Phase::Soaking { .. }
            | Phase::Recording
            | Phase::Failed { .. } => self.config_failure(),
            // Newer content is being prepared already; that begins again.
            Phase::Rereading
            | Phase::Staging
            | Phase::Blocked
            | Phase::Draining
            | Phase::Trying => {
                self.undo_preparation();
                self.config_failure();
            }
            // Newer content is being put in place, and cannot be stopped any more.
            Phase::Installing => self.note_failure(),
            _ => self.act(Action::Alert(AlertReason::Config)),
        }
    }

    pub(super) fn gone(&mut self) {
        if self.child != ChildState::Stopping {
            return;
        }
        self.child = ChildState::Down;
        match self.phase {
            Phase::Stopping => self.start(),
            Phase::Leaving => self.end(),
            _ => {}
        }
    }

    /// The child does not work on the content of its files.
    fn note_failure(&mut self) {
        self.is_confirmed = false;
        if !self.is_rolled_back {
            self.refuse_trial();
            self.contents.failed.clone_from(&self.contents.running);
        }
        self.act(Action::Alert(AlertReason::Config));
    }

    pub(super) fn config_failure(&mut self) {
        let can_roll_back = self.options.on_failure == OnFailure::RollBack
            && !self.is_rolled_back
            && !self.contents.is_good();
        self.note_failure();
        if can_roll_back {
            self.phase = Phase::PuttingBack;
            self.act(Action::PutBack);
        } else {
            self.stay_failed();
        }
    }

    pub(super) fn stay_failed(&mut self) {
        self.fail(None);
        self.reconsider();
    }

    pub(super) fn put_back(&mut self) {
        self.contents.running.clone_from(&self.contents.good);
        self.is_rolled_back = true;
        self.restart_or_notify();
    }

    pub(super) fn healthy(&mut self, now: Instant) {
        let can_confirm = !matches!(self.phase, Phase::Applying | Phase::Leaving);
        if self.child == ChildState::Up && !self.is_confirmed && can_confirm {
            self.confirmed(now);
        }
    }

    pub(super) fn confirmed(&mut self, now: Instant) {
        self.is_confirmed = true;
        self.confirm_by = None;
        if self.is_rolled_back {
            // The old content works; the new content still does not.
            self.restore();
            if matches!(self.phase, Phase::Unconfirmed | Phase::Failed { .. }) {
                self.stay_failed();
            }
            return;
        }
        match self.phase {
            // A skipped member that works after all takes its refusal back.
            Phase::Unconfirmed | Phase::Failed { .. } | Phase::Skipped if self.is_drained => {
                self.phase = Phase::Restoring;
                self.act(Action::Restore);
            }
            Phase::Unconfirmed | Phase::Failed { .. } | Phase::Skipped => self.soak(now),
            // Newer content is being prepared already, or the znodes are read again.
            _ => {
                self.mark_good();
                self.take_back_refusal();
            }
        }
    }

    pub(super) fn restored(&mut self, now: Instant) {
        self.is_drained = false;
        self.soak(now);
    }

    pub(super) fn soak(&mut self, now: Instant) {
        if self.options.soak > Duration::ZERO && self.permit == PermitState::Held {
            self.phase = Phase::Soaking { until: now + self.options.soak };
        } else {
            self.finish();
        }
    }

    /// Records that the running content works, so that a rollback would return to it.
    fn mark_good(&mut self) {
        if self.is_confirmed && self.contents.mark_good() {
            self.act(Action::MarkGood);
        }
    }

    /// Ends the turn, once the group knows how.
    pub(super) fn finish(&mut self) {
        if !self.confirm_trial() {
            self.conclude();
        }
    }

    /// Ends the turn, and begins the next one if newer content is waiting.
    pub(super) fn conclude(&mut self) {
        self.restore();
        self.mark_good();
        self.contents.staged = None;
        self.contents.failed = None;
        self.group.retried();
        self.group.end_trial();
        self.is_rolled_back = false;
        self.give_back();
        self.phase = Phase::Settled;
        self.begin();
    }

    /// Tells the group that the content on trial does not work here.
    fn refuse_trial(&mut self) {
        if let Some(version) = self.group.on_trial() {
            self.group.fails_on(version);
            self.act(Action::Refuse(version));
        }
    }

    /// Tells the group that the content which this member has refused works here after all. Nobody
    /// waits for it.
    fn take_back_refusal(&mut self) {
        let running = self.contents.running.as_ref().map(Versioned::version);
        if let Some(version) = running.filter(|version| self.group.has_refused(*version)) {
            self.act(Action::Confirm(version));
        }
    }

    /// Begins to tell the group that the content on trial works here; returns whether there is
    /// something to tell.
    fn confirm_trial(&mut self) -> bool {
        let running = self.contents.running.as_ref().map(Versioned::version);
        let trial = self.group.on_trial().filter(|version| Some(*version) == running);
        match trial.filter(|version| self.is_confirmed && !self.group.is_confirmed(*version)) {
            Some(version) => {
                self.phase = Phase::Recording;
                self.act(Action::Confirm(version));
                true
            }
            None => false,
        }
    }
}
