//! When to run a command, and when to run it again.
//!
//! Pure: events go in with their time, and the environment of the next run comes out.
//! **Invariant.** No run begins before the `Finished` of the one before.

use crate::engine::Backoff;
use crate::process::command::Environment;
use std::time::Instant;

/// The variable that holds the reason for the run.
const REASON: &str = "ZK_EVENT";

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Something changed, and the command shall run.
    Requested(Environment),
    /// The command has ended.
    Finished {
        /// Whether it exited with 0, in time.
        is_success: bool,
    },
    /// Time has passed.
    Tick,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    Running {
        environment: Environment,
    },
    /// The last run failed.
    Waiting {
        environment: Environment,
        until: Instant,
    },
}

/// The state machine of a hook.
#[derive(Debug)]
pub(super) struct HookMachine {
    state: State,
    /// The latest request that came while the command ran.
    next: Option<Environment>,
    backoff: Backoff,
}

impl HookMachine {
    pub(super) const fn new() -> Self {
        Self { state: State::Idle, next: None, backoff: Backoff::standard() }
    }

    /// When the next [`Event::Tick`] is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Idle | State::Running { .. } => None,
            State::Waiting { until, .. } => Some(*until),
        }
    }

    /// Whether a command runs or will be tried again.
    pub(super) const fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Takes an event; returns the environment of the run that begins now, if one does.
    pub(super) fn step(&mut self, now: Instant, event: Event) -> Option<Environment> {
        match (std::mem::replace(&mut self.state, State::Idle), event) {
            (State::Idle | State::Waiting { .. }, Event::Requested(environment)) => {
                self.backoff.reset();
                self.run(environment)
            }
            (state @ State::Running { .. }, Event::Requested(environment)) => {
                self.next = Some(environment);
                self.stay(state)
            }
            (State::Running { .. }, Event::Finished { is_success: true }) => {
                self.backoff.reset();
                let next = self.next.take()?;
                self.run(next)
            }
            (State::Running { environment }, Event::Finished { is_success: false }) => {
                self.fail(now, environment)
            }
            (State::Waiting { environment, until }, Event::Tick) if until <= now => {
                self.run(environment)
            }
            (
                state @ (State::Idle | State::Running { .. } | State::Waiting { .. }),
                Event::Tick,
            )
            // Nothing runs, so this is the end of an earlier run.
            | (state @ (State::Idle | State::Waiting { .. }), Event::Finished { .. }) => {
                self.stay(state)
            }
        }
    }

    fn stay(&mut self, state: State) -> Option<Environment> {
        self.state = state;
        None
    }

    fn run(&mut self, environment: Environment) -> Option<Environment> {
        self.state = State::Running { environment: environment.clone() };
        Some(environment)
    }

    fn fail(&mut self, now: Instant, mut environment: Environment) -> Option<Environment> {
        if let Some(next) = self.next.take() {
            return self.run(next);
        }
        match environment.iter_mut().find(|(name, _)| *name == REASON) {
            Some((_, reason)) => "retry".clone_into(reason),
            None => environment.push((REASON, "retry".to_owned())),
        }
        let until = now + self.backoff.delay();
        self.stay(State::Waiting { environment, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const OK: Event = Event::Finished { is_success: true };
    const FAILED: Event = Event::Finished { is_success: false };

    fn env(reason: &str) -> Environment {
        vec![("ZK_PATH", "/farm".to_owned()), (REASON, reason.to_owned())]
    }

    fn requested(reason: &str) -> Event {
        Event::Requested(env(reason))
    }

    fn started(reason: &str) -> Option<Environment> {
        Some(env(reason))
    }

    #[test]
    fn requests_during_a_run_are_one_further_run_with_the_last_environment() {
        let now = Instant::now();
        let mut machine = HookMachine::new();
        assert_eq!(machine.deadline(), None);
        assert_eq!(machine.step(now, requested("start")), started("start"));
        for n in 0..100 {
            assert_eq!(machine.step(now, requested(&format!("change{n}"))), None);
        }
        assert_eq!(machine.step(now, OK), started("change99"));
        assert!(machine.is_busy());
        assert_eq!(machine.step(now, OK), None);
        assert!(!machine.is_busy());
        assert_eq!(machine.deadline(), None);
    }

    #[test]
    fn a_command_that_failed_is_tried_again() {
        let start = Instant::now();
        let mut machine = HookMachine::new();
        machine.step(start, requested("change"));
        assert_eq!(machine.deadline(), None);
        assert_eq!(machine.step(start, FAILED), None);
        let again = machine.deadline().unwrap();
        assert_eq!(machine.step(again, Event::Tick), started("retry"));
    }

    #[test]
    fn failures_are_tried_again_ever_more_slowly_until_one_succeeds() {
        let mut now = Instant::now();
        let mut machine = HookMachine::new();
        machine.step(now, requested("change"));
        let mut most = Duration::ZERO;
        for _ in 0..20 {
            assert_eq!(machine.step(now, FAILED), None);
            let until = machine.deadline().unwrap();
            let delay = until - now;
            assert!(delay >= Backoff::LEAST / 2 && delay <= Backoff::MOST, "{delay:?}");
            most = most.max(delay);
            now = until;
            assert_eq!(machine.step(now, Event::Tick), started("retry"));
        }
        assert!(most >= Backoff::MOST / 2, "{most:?}");
        assert_eq!(machine.step(now, OK), None);
        machine.step(now, requested("change"));
        machine.step(now, FAILED);
        assert!(machine.deadline().unwrap() - now <= Backoff::LEAST);
    }

    #[test]
    fn newer_data_does_not_wait_for_the_retry() {
        let now = Instant::now();
        let mut machine = HookMachine::new();
        machine.step(now, requested("start"));
        assert_eq!(machine.step(now, FAILED), None);
        assert_eq!(machine.step(now, requested("change")), started("change"));
        machine.step(now, requested("change2"));
        assert_eq!(machine.step(now, FAILED), started("change2"));
    }

    #[test]
    fn a_retry_has_a_reason_even_if_the_first_run_had_none() {
        let now = Instant::now();
        let mut machine = HookMachine::new();
        machine.step(now, Event::Requested(Vec::new()));
        machine.step(now, FAILED);
        let retry = vec![(REASON, "retry".to_owned())];
        let until = machine.deadline().unwrap();
        assert_eq!(machine.step(until, Event::Tick), Some(retry));
    }

    #[test]
    fn the_end_of_an_earlier_run_changes_nothing() {
        let now = Instant::now();
        let mut machine = HookMachine::new();
        assert_eq!(machine.step(now, OK), None);
        assert_eq!(machine.step(now, Event::Tick), None);
        assert!(!machine.is_busy());
    }
}
