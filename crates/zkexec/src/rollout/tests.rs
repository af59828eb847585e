use super::*;
use event::{Known, Tried, Version};
use farm_core::farm::rollout::Verdict;
use nix::sys::signal::Signal;

mod explore;
mod group;
mod late;
mod page;
mod shared;
mod stories;

/// A content is a number here: even numbers work, odd ones fail.
pub(super) type Content = u32;

impl Versioned for Content {
    fn version(&self) -> Version {
        format!("{self:012x}").parse().unwrap()
    }
}

/// The verdict on a version that others run on.
pub(super) fn known_good() -> Known {
    Known { verdict: Some(Verdict::Confirmed), ..Known::default() }
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) const HUP: OnChange = OnChange::Signal(Signal::SIGHUP);
pub(super) const COMMAND: OnChange = OnChange::Command(String::new());

pub(super) const OPEN: Gates = Gates { is_in_hours: true, can_spare_us: true };

pub(super) fn options() -> RolloutOptions {
    RolloutOptions {
        is_locked: true,
        has_health: true,
        delay: 30 * SECOND,
        soak: Duration::ZERO,
        on_change: OnChange::Restart,
        on_failure: OnFailure::Hold,
        drains: false,
        has_many_holders: false,
    }
}

/// A rollout with a clock that only the test advances.
pub(super) struct Fixture {
    pub(super) rollout: Rollout<Content>,
    pub(super) now: Instant,
}

impl Fixture {
    /// A rollout whose child runs on content 0.
    pub(super) fn new(options: RolloutOptions) -> Self {
        Self::with_gates(options, OPEN)
    }

    pub(super) fn with_gates(options: RolloutOptions, gates: Gates) -> Self {
        let mut fixture = Self { rollout: Rollout::new(options, gates), now: Instant::now() };
        assert_eq!(fixture.step(Event::Orders(Orders::default())), []);
        assert_eq!(fixture.step(Event::FirstStarted(0)), []);
        assert_eq!(fixture.rollout.phase(), Phase::Settled);
        fixture
    }

    /// Takes one event. The group knows that new content is good, and allows each try.
    pub(super) fn step(&mut self, event: Event<Content>) -> Vec<Action<Content>> {
        let content = match event {
            Event::Wanted(content) | Event::Reread(content) => Some(content),
            _ => None,
        };
        let mut actions = self.rollout.step(self.now, event);
        if let Some(content) = content {
            let known = Event::Known(content.version(), known_good());
            actions.extend(self.rollout.step(self.now, known));
        }
        if actions.pop_if(|action| matches!(action, Action::Try(_))).is_some() {
            actions.extend(self.rollout.step(self.now, Event::Tried(Tried::Allowed)));
        }
        actions
    }

    pub(super) fn after(&mut self, time: Duration) -> Vec<Action<Content>> {
        self.now += time;
        self.step(Event::Tick)
    }

    /// Takes a turn for new content up to the stop of the child.
    pub(super) fn take_down(&mut self, content: Content) {
        self.step(Event::Wanted(content));
        if self.rollout.options.is_locked {
            assert_eq!(self.step(Event::Granted), [Action::Reread]);
            assert_eq!(self.step(Event::Reread(content)), [Action::Stage(content)]);
        }
        assert_eq!(self.step(Event::Staged), [Action::Install]);
        assert_eq!(self.step(Event::Installed), [Action::StopChild, Action::PauseHealth]);
        assert_eq!(self.rollout.phase(), Phase::Stopping);
    }

    /// Takes a turn up to the start of the child on the new content.
    pub(super) fn restart(&mut self, content: Content) {
        self.take_down(content);
        self.come_up();
    }

    pub(super) fn come_up(&mut self) {
        assert_eq!(self.step(ENDED), []);
        assert_eq!(self.step(Event::Gone), [Action::StartChild]);
        assert_eq!(self.step(Event::Started), [Action::CheckHealth]);
        assert_eq!(self.rollout.phase(), Phase::Unconfirmed);
    }
}

pub(super) const ENDED: Event<Content> = Event::Ended { is_success: true };
pub(super) const FAILED: Event<Content> = Event::Ended { is_success: false };
pub(super) const FAILED_PHASE: Phase = Phase::Failed { retry_at: None };

/// The group hears that this content does not work.
pub(super) fn refuse(content: Content) -> Action<Content> {
    Action::Refuse(content.version())
}
