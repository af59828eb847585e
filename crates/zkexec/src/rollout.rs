//! The turn: when new content is put in place and the child taken down for it.
//!
//! Pure: what happens comes in as events with their time, what is to be done goes
//! out as actions. `docs/zkexec.md` draws it.
//!
//! **Invariant.** A child that works is only taken down while the permit is held
//! and the gates are open, new content is only put in place then, and what was
//! taken down is started again whatever becomes of the permit.

mod child;
mod contents;
mod event;
mod phase;
mod prepare;
#[cfg(test)]
mod tests;

pub(crate) use event::{Action, Alarm, Event, Gates, OnChange, OnFailure, RolloutOptions};
pub(crate) use phase::Phase;

use contents::Contents;
use farm_core::engine::Backoff;
use phase::{Child, Permit};
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// The machine. See the module's page.
#[derive(Debug)]
pub(crate) struct Rollout<C> {
    terms: RolloutOptions,
    phase: Phase,
    permit: Permit,
    child: Child,
    gates: Gates,
    contents: Contents<C>,
    is_confirmed: bool,
    /// The child is to be confirmed by then.
    confirm_by: Option<Instant>,
    is_drained: bool,
    /// What runs was put back after a failure.
    is_rolled_back: bool,
    /// That the files can't be written has been told.
    is_trouble_told: bool,
    backoff: Backoff,
    actions: Vec<Action<C>>,
}

impl<C: Clone + PartialEq> Rollout<C> {
    /// A rollout before the first start.
    pub(crate) const fn new(terms: RolloutOptions, gates: Gates) -> Self {
        Self {
            terms,
            phase: Phase::Unbegun,
            permit: Permit::None,
            child: Child::Down,
            gates,
            contents: Contents::none(),
            is_confirmed: false,
            confirm_by: None,
            is_drained: false,
            is_rolled_back: false,
            is_trouble_told: false,
            backoff: Backoff::new(RETRY_LEAST, RETRY_MOST),
            actions: Vec::new(),
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// What the child runs on.
    pub(crate) const fn running(&self) -> Option<&C> {
        self.contents.running.as_ref()
    }

    /// Whether the permit is ours.
    pub(crate) fn is_holder(&self) -> bool {
        self.permit == Permit::Held
    }

    /// Whether the child is known to work on what it runs on.
    pub(crate) const fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }

    /// When [`Event::Tick`] is due.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Unconfirmed => self.confirm_by,
            Phase::Soaking { until } => Some(until),
            Phase::Paused { retry_at } => retry_at,
            _ => None,
        }
    }

    /// Takes one event.
    pub(crate) fn step(&mut self, now: Instant, event: Event<C>) -> Vec<Action<C>> {
        if event.awaited_in().is_some_and(|phase| phase != self.phase) {
            return Vec::new();
        }
        match event {
            Event::Begun(content) => self.begun(content),
            Event::Recognised(content) => self.contents.recognise(content),
            Event::Wanted(content) => self.wanted(content),
            Event::Granted => self.granted(),
            Event::PermitLost => self.permit_lost(),
            Event::Reread(content) => self.reread(content),
            Event::Staged => self.advance(),
            Event::Refused => self.refused(),
            Event::StageFailed | Event::InstallFailed => self.cannot_write(now),
            Event::Gates(gates) => self.take_gates(gates),
            Event::Drained => self.drained(),
            Event::Installed => self.installed(),
            Event::LeaseOver => self.lease_over(),
            Event::PutBack => self.put_back(),
            Event::PutBackFailed => self.stay_paused(),
            Event::Ended { is_success } => self.ended(is_success),
            Event::Gone => self.gone(),
            Event::Started => self.started(now),
            Event::StartFailed => self.start_failed(),
            Event::Applied { is_success } => self.applied(now, is_success),
            Event::Healthy => self.healthy(now),
            Event::Restored => self.restored(now),
            Event::Stop => self.stop(),
            Event::Tick => self.tick(now),
        }
        std::mem::take(&mut self.actions)
    }

    fn act(&mut self, action: Action<C>) {
        self.actions.push(action);
    }

    /// Is another step of the turn ours to take?
    fn may_act(&self) -> bool {
        !self.terms.is_locked || self.permit == Permit::Held
    }

    /// Is there content to try: neither what runs nor known not to work?
    fn has_news(&self) -> bool {
        let is_running = self.contents.is_in_place() && self.child != Child::Down;
        !is_running && !self.contents.is_known_to_fail()
    }

    fn is_settled(&self) -> bool {
        self.is_confirmed && self.contents.is_in_place()
    }

    fn begun(&mut self, content: C) {
        self.child = Child::Up;
        // The first start is no turn: how well it goes concerns nobody else.
        self.is_confirmed = true;
        self.contents.begin(content);
        self.phase = Phase::Settled;
        self.begin();
    }

    fn wanted(&mut self, content: C) {
        self.contents.wanted = Some(content);
        match self.phase {
            Phase::Settled => self.begin(),
            Phase::OffHours | Phase::Queued if self.is_settled() => self.finish(),
            Phase::Staging | Phase::Blocked | Phase::Draining if !self.contents.is_staged() => {
                self.act(Action::Unstage);
                self.decide();
            }
            Phase::Unconfirmed | Phase::Applying | Phase::Paused { .. } => self.reconsider(),
            // The answer is on its way, or the step has to be finished first.
            Phase::Unbegun
            | Phase::OffHours
            | Phase::Queued
            | Phase::Rereading
            | Phase::Staging
            | Phase::Blocked
            | Phase::Draining
            | Phase::Installing
            | Phase::Stopping
            | Phase::PuttingBack
            | Phase::Restoring
            | Phase::Soaking { .. }
            | Phase::Leaving => {}
        }
    }

    /// Begins a turn, if there is a reason for one.
    fn begin(&mut self) {
        if self.is_settled() {
            self.phase = Phase::Settled;
        } else if !self.gates.is_in_hours {
            self.phase = Phase::OffHours;
        } else if self.terms.is_locked {
            self.phase = Phase::Queued;
            self.ask();
        } else {
            self.stage();
        }
    }

    /// While the child is not confirmed, new content is tried without giving the
    /// permit away; without a permit, one is needed first.
    fn reconsider(&mut self) {
        if self.has_news() {
            if self.may_act() { self.stage() } else { self.ask() }
        } else if self.is_settled() {
            self.finish();
        }
    }

    fn stop(&mut self) {
        if self.phase == Phase::Leaving {
            return;
        }
        match self.child {
            Child::Up => {
                self.take_down();
                self.leave();
            }
            Child::Going => self.leave(),
            Child::Down => {
                self.leave();
                self.end();
            }
        }
    }

    /// Nothing is left of the child.
    fn end(&mut self) {
        self.restore();
        self.act(Action::End);
    }

    /// Who waits makes room at once. Who holds the permit keeps it until its child
    /// is gone: the end of the session gives it back.
    fn leave(&mut self) {
        self.phase = Phase::Leaving;
        if self.permit == Permit::Asked {
            self.give_back();
        }
        self.contents.staged = None;
        self.act(Action::Unstage);
    }

    fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Unconfirmed if self.confirm_by.is_some_and(|by| by <= now) => {
                self.confirm_by = None;
                if self.terms.has_health {
                    self.config_failure();
                } else {
                    self.confirmed(now);
                }
            }
            Phase::Soaking { until } if until <= now => self.finish(),
            Phase::Paused { retry_at: Some(at) } if at <= now => {
                self.stay_paused();
            }
            _ => {}
        }
    }
}
