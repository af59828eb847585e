//! Decides when new content is put in place and when the child is restarted for it.
//!
//! A pure state machine: events with their time go in, actions come out. `docs/zkexec.md` has a
//! diagram.
//!
//! **Invariant.** A child that works is stopped, and new content is put in place, only while the
//! permit is held and the gates are open. A child that was stopped is started again even if the
//! permit is lost.

mod child;
mod contents;
mod event;
mod group;
mod phase;
mod prepare;
#[cfg(test)]
mod tests;

pub(crate) use event::{
    Action, AlertReason, Event, Gates, OnChange, OnFailure, Orders, RolloutOptions, Versioned,
};
pub(crate) use phase::Phase;

use contents::Contents;
use event::Known;
use farm_core::engine::Backoff;
use group::Group;
use phase::{ChildState, PermitState};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_secs(1);
/// A disk that has room again is used within this time.
const RETRY_MOST: Duration = Duration::from_secs(10);

/// The state machine; see the module documentation.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Rollout<C> {
    options: RolloutOptions,
    phase: Phase,
    permit: PermitState,
    child: ChildState,
    gates: Gates,
    contents: Contents<C>,
    group: Group,
    is_confirmed: bool,
    /// The deadline for the child to be confirmed.
    confirm_by: Option<Instant>,
    is_drained: bool,
    /// The child runs on files that were put back after a failure.
    is_rolled_back: bool,
    /// An alert about files that can't be written was raised; it is not repeated.
    is_write_failure_alerted: bool,
    backoff: Backoff,
    actions: Vec<Action<C>>,
}

impl<C: Clone + PartialEq + Versioned> Rollout<C> {
    /// Creates a rollout before the first start.
    pub(crate) fn new(options: RolloutOptions, gates: Gates) -> Self {
        Self {
            options,
            phase: Phase::NotStarted,
            permit: PermitState::None,
            child: ChildState::Down,
            gates,
            contents: Contents::none(),
            group: Group::default(),
            is_confirmed: false,
            confirm_by: None,
            is_drained: false,
            is_rolled_back: false,
            is_write_failure_alerted: false,
            backoff: Backoff::new(RETRY_LEAST, RETRY_MOST),
            actions: Vec::new(),
        }
    }

    /// How long a child has to stay up if there is no health check.
    pub(crate) const fn delay(&self) -> Duration {
        self.options.delay
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// The content that the child runs on.
    pub(crate) const fn running(&self) -> Option<&C> {
        self.contents.running.as_ref()
    }

    /// The content in ZooKeeper.
    pub(crate) const fn wanted(&self) -> Option<&C> {
        self.contents.wanted.as_ref()
    }

    /// The content that worked last.
    pub(crate) const fn good(&self) -> Option<&C> {
        self.contents.good.as_ref()
    }

    /// Whether this member holds the permit.
    pub(crate) fn is_holder(&self) -> bool {
        self.permit == PermitState::Held
    }

    /// Whether the child is known to work on its content.
    pub(crate) const fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// The number of the restart that the child has done.
    pub(crate) const fn restarted(&self) -> u64 {
        self.group.restarted()
    }

    /// The group's verdict on the wanted content, if it is read.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.group.known_of(self.contents.wanted.as_ref()?.version())
    }

    /// When [`Event::Tick`] is due.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Unconfirmed => self.confirm_by,
            Phase::Soaking { until } => Some(until),
            Phase::Failed { retry_at } => retry_at,
            _ => None,
        }
    }

    /// Handles one event.
    pub(crate) fn step(&mut self, now: Instant, event: Event<C>) -> Vec<Action<C>> {
        if event.awaited_in().is_some_and(|phase| phase != self.phase) {
            return Vec::new();
        }
        match event {
            Event::FirstStarted(content) => self.first_started(content),
            Event::Recognised(content) => self.contents.recognise(content),
            Event::Wanted(content) => self.new_content(content),
            Event::Known(version, known) => self.group_knows(version, known),
            Event::Orders(orders) => self.ordered(orders),
            Event::Granted => self.granted(),
            Event::PermitLost => self.permit_lost(),
            Event::Reread(content) => self.reread(content),
            Event::Staged => self.advance(),
            Event::Refused => self.refused(),
            Event::StageFailed | Event::InstallFailed => self.cannot_write(now),
            Event::Gates(gates) => self.gates_changed(gates),
            Event::Drained => self.drained(),
            Event::Tried(tried) => self.tried(tried),
            Event::Installed => self.installed(),
            Event::PermitUnconfirmed => self.permit_unconfirmed(),
            Event::PutBack => self.put_back(),
            Event::PutBackFailed => self.stay_failed(),
            Event::Ended { is_success } => self.ended(is_success),
            Event::Gone => self.gone(),
            Event::Started => self.started(now),
            Event::StartFailed => self.start_failed(),
            Event::Applied { is_success } => self.applied(now, is_success),
            Event::Healthy => self.healthy(now),
            Event::Restored => self.restored(now),
            Event::Recorded => self.conclude(),
            Event::Stop => self.stop(),
            Event::Tick => self.tick(now),
        }
        std::mem::take(&mut self.actions)
    }

    fn act(&mut self, action: Action<C>) {
        self.actions.push(action);
    }

    /// Whether the next step of a turn is allowed.
    fn may_act(&self) -> bool {
        !self.options.is_locked || self.permit == PermitState::Held
    }

    /// Whether the wanted content neither runs nor is known to fail.
    fn has_untried_content(&self) -> bool {
        let is_running = self.contents.is_in_place() && self.child != ChildState::Down;
        !is_running && !self.contents.is_known_to_fail()
    }

    fn is_settled(&self) -> bool {
        self.is_confirmed && self.contents.is_in_place()
    }

    fn first_started(&mut self, content: C) {
        self.child = ChildState::Up;
        self.group.child_starts();
        // The first start needs no confirmation: no other member waits for it.
        self.is_confirmed = true;
        self.contents.begin(content);
        self.phase = Phase::Settled;
        self.begin();
    }

    fn new_content(&mut self, content: C) {
        self.contents.want(content);
        match self.phase {
            Phase::Settled
            | Phase::AwaitingVerdict
            | Phase::Refused
            | Phase::Skipped
            | Phase::Paused
            | Phase::OffHours
            | Phase::Queued => self.wake(),
            Phase::Staging | Phase::Blocked | Phase::Draining | Phase::Trying
                if !self.contents.is_staged() =>
            {
                self.take_back_try();
                self.act(Action::Unstage);
                self.decide();
            }
            Phase::Unconfirmed | Phase::Applying | Phase::Failed { .. } => self.reconsider(),
            // A read will return the new content, or the current step has to finish first.
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

    /// Decides again what a member without a turn waits for.
    fn wake(&mut self) {
        if self.phase == Phase::AwaitingVerdict && self.permit == PermitState::Held {
            self.decide();
        } else {
            self.begin();
        }
    }

    /// Begins a turn if there is something to do and nothing keeps this member from it; otherwise
    /// leaves the queue.
    fn begin(&mut self) {
        self.phase = self.group.resting_phase(&self.situation());
        match self.phase {
            // It keeps its place in the queue, if it has one.
            Phase::AwaitingVerdict => {}
            Phase::Queued if self.permit == PermitState::Held => {
                self.phase = Phase::Rereading;
                self.act(Action::Reread);
            }
            Phase::Queued if self.options.is_locked => self.ask(),
            Phase::Queued => self.stage(),
            _ => self.give_back(),
        }
    }

    /// Tries newer content while the child is not confirmed, without giving the permit back. If
    /// the permit was lost, asks for a new one first.
    fn reconsider(&mut self) {
        if self.is_settled() {
            self.finish();
        } else if let Some(step) = self.group.next_step(&self.situation()) {
            if self.options.is_locked {
                self.ask();
            }
            if self.may_act() {
                self.take(step);
            }
        }
    }

    fn stop(&mut self) {
        if self.phase == Phase::Leaving {
            return;
        }
        match self.child {
            ChildState::Up => {
                self.take_down();
                self.leave();
            }
            ChildState::Stopping => self.leave(),
            ChildState::Down => {
                self.leave();
                self.end();
            }
        }
    }

    /// Ends zkexec: the child and its descendants are gone.
    fn end(&mut self) {
        self.restore();
        self.act(Action::End);
    }

    /// A member that waits leaves the queue at once. One that holds the permit keeps it until its
    /// child is gone: the end of the session frees it.
    fn leave(&mut self) {
        if self.phase == Phase::Trying {
            self.take_back_try();
        }
        self.phase = Phase::Leaving;
        if self.permit == PermitState::Asked {
            self.give_back();
        }
        self.contents.staged = None;
        self.act(Action::Unstage);
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Unconfirmed if self.confirm_by.is_some_and(|by| by <= now) => {
                self.confirm_by = None;
                if self.options.has_health {
                    self.config_failure();
                } else {
                    self.confirmed(now);
                }
            }
            Phase::Soaking { until } if until <= now => self.finish(),
            Phase::Failed { retry_at: Some(at) } if at <= now => self.stay_failed(),
            _ => {}
        }
    }
}
