use super::*;
use nix::sys::signal::Signal;

mod group;
mod page;
mod stories;

/// Content is a number here: even ones work, odd ones don't.
pub(super) type Content = u32;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) const HUP: OnChange = OnChange::Signal(Signal::SIGHUP);
pub(super) const COMMAND: OnChange = OnChange::Command(String::new());

pub(super) const OPEN: Gates = Gates { is_in_hours: true, can_spare_us: true };

pub(super) fn terms() -> RolloutOptions {
    RolloutOptions {
        is_locked: true,
        has_health: true,
        delay: 30 * SECOND,
        soak: Duration::ZERO,
        on_change: OnChange::Restart,
        on_failure: OnFailure::Hold,
        drains: false,
    }
}

/// A rollout, and a clock that stands still unless it is told otherwise.
pub(super) struct Stage {
    pub(super) rollout: Rollout<Content>,
    pub(super) now: Instant,
}

impl Stage {
    /// A child that runs on content 0.
    pub(super) fn new(terms: RolloutOptions) -> Self {
        Self::with_gates(terms, OPEN)
    }

    pub(super) fn with_gates(terms: RolloutOptions, gates: Gates) -> Self {
        let mut stage = Self { rollout: Rollout::new(terms, gates), now: Instant::now() };
        assert_eq!(stage.step(Event::Begun(0)), []);
        assert_eq!(stage.rollout.phase(), Phase::Settled);
        stage
    }

    pub(super) fn step(&mut self, event: Event<Content>) -> Vec<Action<Content>> {
        self.rollout.step(self.now, event)
    }

    pub(super) fn after(&mut self, time: Duration) -> Vec<Action<Content>> {
        self.now += time;
        self.step(Event::Tick)
    }

    /// Up to the moment at which the child is told to stop, for new content.
    pub(super) fn take_down(&mut self, content: Content) {
        self.step(Event::Wanted(content));
        if self.rollout.terms.is_locked {
            assert_eq!(self.step(Event::Granted), [Action::Reread]);
            assert_eq!(self.step(Event::Reread(content)), [Action::Stage(content)]);
        }
        assert_eq!(self.step(Event::Staged), [Action::Install]);
        assert_eq!(self.step(Event::Installed), [Action::StopChild, Action::RestHealth]);
        assert_eq!(self.rollout.phase(), Phase::Stopping);
    }

    /// Up to the moment at which the child runs on it.
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
pub(super) const PAUSED: Phase = Phase::Paused { retry_at: None };
