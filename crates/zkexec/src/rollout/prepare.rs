//! The steps before the child is affected: the permit, staging, the gates, draining.
//!
//! **Invariant.** The child sees nothing of these steps.

use super::event::{Known, Tried, Version};
use super::group::{Bar, Group, NextStep, Situation};
use super::phase::{ChildState, PermitState, Phase};
use super::{Action, AlertReason, Gates, OnChange, Orders, Rollout, Versioned};
use std::time::Instant;

impl<C: Clone + PartialEq + Versioned> Rollout<C> {
    pub(super) fn situation(&self) -> Situation {
        let version = |content: &Option<C>| content.as_ref().map(Versioned::version);
        Situation {
            is_locked: self.options.is_locked,
            has_many_holders: self.options.has_many_holders,
            wanted: version(&self.contents.wanted),
            good: version(&self.contents.good),
            is_settled: self.is_settled(),
            is_working: self.waiting_phase() == Phase::Queued,
            is_untried: self.has_untried_content(),
            is_confirmed: self.is_confirmed,
            is_good: self.contents.is_good(),
            is_in_hours: self.gates.is_in_hours,
        }
    }

    fn bar(&self) -> Option<Bar> {
        self.group.bar(&self.situation())
    }

    /// Whether the group has refused the wanted content, as far as is known.
    fn is_wanted_refused(&self) -> bool {
        self.bar() == Some(Bar::Refused)
    }

    /// Whether an operator wants this member to leave out the wanted content.
    fn is_wanted_skipped(&self) -> bool {
        self.bar() == Some(Bar::Skipped)
    }

    /// Takes what the group knows of a version.
    pub(super) fn group_knows(&mut self, version: Version, known: Known) {
        let is_forgotten = self.group.hear(version, known);
        let is_wanted = self.situation().wanted == Some(version);
        if is_forgotten && is_wanted && self.contents.is_known_to_fail() {
            self.group.retry();
        }
        self.reconsider_turn();
    }

    /// Takes what operators want.
    pub(super) fn ordered(&mut self, orders: Orders) {
        let has_child = self.child != ChildState::Down;
        let former = self.group.take_orders(orders.clone(), has_child);
        let is_failed = matches!(self.phase, Phase::Failed { .. });
        // A content that the group has refused is tried again when the refusal is forgotten.
        let is_retry = orders.retry > former.retry && !self.is_wanted_refused();
        let has_failed_restart = self.contents.is_good() && !self.is_confirmed;
        let is_restart = orders.restart > former.restart && has_failed_restart;
        let is_unskipped = self.phase == Phase::Skipped && former.skipped != orders.skipped;
        if is_failed && (is_retry || is_restart) || is_unskipped && !self.is_confirmed {
            self.group.retry();
        }
        self.reconsider_turn();
    }

    /// Decides again after the group or an operator has said something else.
    fn reconsider_turn(&mut self) {
        match self.phase {
            Phase::Settled
            | Phase::OffHours
            | Phase::AwaitingVerdict
            | Phase::Refused
            | Phase::Skipped
            | Phase::Paused
            | Phase::Queued => self.wake(),
            Phase::Rereading
            | Phase::Staging
            | Phase::Blocked
            | Phase::Draining
            | Phase::Trying
            | Phase::Installing
                if self.group.forbids_turn(&self.situation(), self.contents.staged.is_some()) =>
            {
                self.undo_preparation();
                self.hold_back();
            }
            Phase::Failed { .. } if self.is_wanted_skipped() => self.pass(),
            Phase::Failed { .. } if self.is_wanted_refused() => {
                // The group knows: nobody else needs to be kept from it.
                if self.permit == PermitState::Asked {
                    self.give_back();
                }
            }
            Phase::Failed { .. } | Phase::Unconfirmed | Phase::Applying => self.reconsider(),
            // The step under way ends first.
            Phase::NotStarted
            | Phase::Rereading
            | Phase::Staging
            | Phase::Blocked
            | Phase::Draining
            | Phase::Trying
            | Phase::Installing
            | Phase::Stopping
            | Phase::PuttingBack
            | Phase::Restoring
            | Phase::Soaking { .. }
            | Phase::Recording
            | Phase::Leaving => {}
        }
    }

    /// Waits in the phase that fits, without touching anything.
    fn hold_back(&mut self) {
        match self.waiting_phase() {
            // The child has turned out to work meanwhile, which the group has to hear.
            Phase::Queued if self.is_settled() && self.group.on_trial().is_some() => self.finish(),
            Phase::Queued => self.begin(),
            Phase::Failed { .. } if self.is_wanted_skipped() => self.pass(),
            phase => self.phase = phase,
        }
    }

    /// Gives the permit away after a failure, and stays as it is. A restart of files that were put
    /// back is another turn.
    fn pass(&mut self) {
        self.phase = Phase::Skipped;
        self.group.retried();
        self.give_back();
        if self.is_confirmed {
            self.begin();
        }
    }

    /// Tells whether the permit counts only at the head of the queue, if that has changed.
    fn tell_need(&mut self) {
        let Some(needs_head) = self.group.change_of_need(&self.situation()) else { return };
        self.act(Action::NeedHead(needs_head));
        if needs_head && self.permit == PermitState::Held {
            self.permit = PermitState::Asked;
        }
    }

    pub(super) fn ask(&mut self) {
        self.tell_need();
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
        let is_waiting = matches!(
            self.phase,
            Phase::AwaitingVerdict | Phase::Queued | Phase::Unconfirmed | Phase::Failed { .. }
        );
        if is_waiting {
            self.phase = Phase::Rereading;
            self.act(Action::Reread);
        }
    }

    pub(super) fn permit_lost(&mut self) {
        self.permit = PermitState::None;
        match self.phase {
            Phase::Queued => self.ask(),
            // The group knows that the content fails: nobody has to be kept from it.
            Phase::Failed { .. } if self.is_wanted_refused() => {}
            Phase::Failed { .. } => self.ask(),
            Phase::Rereading
            | Phase::AwaitingVerdict
            | Phase::Staging
            | Phase::Blocked
            | Phase::Draining
            | Phase::Trying
            | Phase::Installing => {
                self.undo_preparation();
                self.hold_back();
                match self.phase {
                    Phase::Failed { retry_at } => self.fail(retry_at),
                    Phase::Unconfirmed => self.ask(),
                    _ => {}
                }
            }
            Phase::Soaking { .. } => self.finish(),
            Phase::Recording => self.conclude(),
            // A child that was stopped is started first; there is no step to undo.
            Phase::NotStarted
            | Phase::Settled
            | Phase::OffHours
            | Phase::Refused
            | Phase::Skipped
            | Phase::Paused
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
        } else if self.child == ChildState::Up && !self.is_confirmed && !self.contents.has_failed()
        {
            Phase::Unconfirmed
        } else {
            Phase::Failed { retry_at: None }
        }
    }

    pub(super) fn undo_preparation(&mut self) {
        self.take_back_try();
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
        self.take_back_try();
        self.contents.staged = None;
        self.act(Action::Unstage);
        self.phase = Phase::Rereading;
        self.act(Action::Reread);
    }

    pub(super) fn reread(&mut self, content: C) {
        self.contents.want(content);
        self.decide();
    }

    /// Goes on with the turn, or ends it, or waits: the permit is held.
    pub(super) fn decide(&mut self) {
        self.contents.staged = None;
        if self.is_settled() && !self.group.wants_restart() {
            return self.finish();
        }
        let waiting = self.waiting_phase();
        if waiting == Phase::Queued {
            match self.group.resting_phase(&self.situation()) {
                Phase::Queued => {}
                // The answer is on its way.
                Phase::AwaitingVerdict => return self.phase = Phase::AwaitingVerdict,
                _ => return self.begin(),
            }
        }
        self.tell_need();
        match self.group.next_step(&self.situation()) {
            Some(_) if !self.may_act() => self.phase = waiting,
            Some(step) => self.take(step),
            // The permit is held already, and the wanted content is known to fail.
            None if waiting == Phase::Queued => self.phase = Phase::Failed { retry_at: None },
            None => self.hold_back(),
        }
    }

    pub(super) fn take(&mut self, step: NextStep) {
        match step {
            NextStep::Stage => self.stage(),
            NextStep::Restart => self.advance(),
        }
    }

    pub(super) fn stage(&mut self) {
        if let Some(content) = self.contents.stage() {
            self.phase = Phase::Staging;
            self.act(Action::Stage(content));
        }
    }

    pub(super) fn refused(&mut self) {
        self.group.retried();
        let is_new = Group::tests_wanted(&self.situation());
        self.contents.failed = self.contents.staged.take();
        let version = self.contents.failed.as_ref().map(Versioned::version);
        if let Some(version) = version.filter(|_| is_new) {
            self.group.fails_on(version);
            self.act(Action::RefuseUntried(version));
        }
        self.act(Action::Alert(AlertReason::Config));
        self.restore();
        self.fail(None);
    }

    /// Waits for other content, or for a retry of the same. The permit is kept or asked for again,
    /// so that the other members do not try this content.
    pub(super) fn fail(&mut self, retry_at: Option<Instant>) {
        if self.is_wanted_skipped() {
            return self.pass();
        }
        self.phase = Phase::Failed { retry_at };
        if self.options.is_locked && !self.is_wanted_refused() {
            self.ask();
        }
    }

    pub(super) fn cannot_write(&mut self, now: Instant) {
        self.take_back_try();
        self.contents.staged = None;
        self.act(Action::Unstage);
        if !self.is_write_failure_alerted {
            self.is_write_failure_alerted = true;
            self.act(Action::Alert(AlertReason::Config));
        }
        self.restore();
        let delay = self.backoff.delay();
        self.fail(Some(now + delay));
    }

    pub(super) fn gates_changed(&mut self, gates: Gates) {
        self.gates = gates;
        match self.phase {
            Phase::OffHours | Phase::Queued => self.begin(),
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
        let is_restart = self.options.on_change == OnChange::Restart || self.group.wants_restart();
        let stops_child = is_working && is_restart;
        if is_working && !self.gates.is_in_hours && !self.is_rolled_back {
            self.wait_for_hours();
        } else if is_working && !self.gates.is_in_hours || stops_child && !self.gates.can_spare_us {
            self.phase = Phase::Blocked;
        } else if stops_child && self.options.drains && !self.is_drained {
            self.phase = Phase::Draining;
            self.act(Action::Drain);
        } else {
            self.begin_try();
        }
    }

    pub(super) fn drained(&mut self) {
        self.is_drained = true;
        match self.phase {
            Phase::Draining => self.advance(),
            // The turn goes on and will get to draining again.
            Phase::Rereading
            | Phase::AwaitingVerdict
            | Phase::Staging
            | Phase::Blocked
            | Phase::Trying
            | Phase::Installing => {}
            // Restored at the end.
            Phase::Leaving => {}
            // The turn was given up in the meantime.
            _ => self.restore(),
        }
    }

    /// Counts the try of the staged content, or goes on at once if there is nothing to count. A
    /// version that is confirmed as far as is known may have been refused a moment ago.
    fn begin_try(&mut self) {
        let version = self.contents.staged.as_ref().map(Versioned::version);
        match version.filter(|_| Group::tests_wanted(&self.situation())) {
            Some(version) => {
                self.phase = Phase::Trying;
                self.group.count_try(version);
                self.act(Action::Try(version));
            }
            None => self.install(),
        }
    }

    fn install(&mut self) {
        self.phase = Phase::Installing;
        self.act(Action::Install);
    }

    pub(super) fn tried(&mut self, tried: Tried) {
        if tried == Tried::Allowed {
            return self.install();
        }
        // It was not counted: there is nothing to take back.
        let version = self.group.take_back_try();
        if let Some(version) = version.filter(|_| tried == Tried::Refused) {
            self.group.retried();
            self.group.hear_refusal(version);
        }
        self.undo_preparation();
        self.hold_back();
    }

    /// Takes back a try that has touched nothing.
    pub(super) fn take_back_try(&mut self) {
        if self.group.take_back_try().is_some() {
            self.act(Action::Untouched);
        }
    }
}
