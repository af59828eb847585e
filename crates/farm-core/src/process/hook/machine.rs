//! When to run, to end and to repeat a command.
//!
//! Pure: what happens comes in as events with their time, what is to be done
//! goes out as actions. **Invariant.** Between a `Start` and its `Finished` there
//! is no other `Start`.

use super::{Environment, GRACE};
use crate::engine::Backoff;
use std::time::{Duration, Instant};

const RETRY_LEAST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(5 * 60);

/// The variable that tells a command why it runs.
const REASON: &str = "ZK_EVENT";

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is a change to tell the command of.
    Requested(Environment),
    /// The command has ended.
    Finished {
        /// With exit status 0, and not because we ended it.
        is_success: bool,
    },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the command.
    Start(Environment),
    /// Ask its process group to end.
    Terminate,
    /// End its process group.
    Kill,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Idle,
    Running {
        environment: Environment,
        until: Instant,
    },
    Terminated {
        environment: Environment,
        until: Instant,
    },
    Killed {
        environment: Environment,
    },
    /// The last run failed.
    Waiting {
        environment: Environment,
        until: Instant,
    },
}

/// The life of a hook.
#[derive(Debug)]
pub struct HookMachine {
    limit: Duration,
    state: State,
    /// What was asked for while the command ran.
    next: Option<Environment>,
    backoff: Backoff,
}

impl HookMachine {
    /// A machine whose command may run for `limit`.
    #[must_use]
    pub const fn new(limit: Duration) -> Self {
        let backoff = Backoff::new(RETRY_LEAST, RETRY_MOST);
        Self { limit, state: State::Idle, next: None, backoff }
    }

    /// When the next [`Event::Tick`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Idle | State::Killed { .. } => None,
            State::Running { until, .. }
            | State::Terminated { until, .. }
            | State::Waiting { until, .. } => Some(*until),
        }
    }

    /// Whether a command runs or will be tried again.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Whether a command was told to end, and has not yet.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        matches!(self.state, State::Terminated { .. } | State::Killed { .. })
    }

    /// Takes what happened and says what to do.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        let state = std::mem::replace(&mut self.state, State::Idle);
        match (state, event) {
            (State::Idle | State::Waiting { .. }, Event::Requested(environment)) => {
                self.backoff.reset();
                self.start(now, environment)
            }
            (
                state @ (State::Running { .. } | State::Terminated { .. } | State::Killed { .. }),
                Event::Requested(environment),
            ) => {
                self.next = Some(environment);
                self.stay(state)
            }
            (State::Running { .. }, Event::Finished { is_success: true }) => {
                self.backoff.reset();
                self.next.take().map_or_else(Vec::new, |next| self.start(now, next))
            }
            (
                State::Running { environment, .. }
                | State::Terminated { environment, .. }
                | State::Killed { environment },
                Event::Finished { .. },
            ) => self.fail(now, environment),
            (State::Running { environment, until }, Event::Tick) if until <= now => {
                self.state = State::Terminated { environment, until: now + GRACE };
                vec![Action::Terminate]
            }
            (State::Terminated { environment, until }, Event::Tick) if until <= now => {
                self.state = State::Killed { environment };
                vec![Action::Kill]
            }
            (State::Waiting { environment, until }, Event::Tick) if until <= now => {
                self.start(now, environment)
            }
            (
                state @ (State::Idle
                | State::Running { .. }
                | State::Terminated { .. }
                | State::Killed { .. }
                | State::Waiting { .. }),
                Event::Tick,
            )
            // Nothing of ours runs: an end of something that was started before.
            | (state @ (State::Idle | State::Waiting { .. }), Event::Finished { .. }) => {
                self.stay(state)
            }
        }
    }

    fn stay(&mut self, state: State) -> Vec<Action> {
        self.state = state;
        Vec::new()
    }

    fn start(&mut self, now: Instant, environment: Environment) -> Vec<Action> {
        self.state = State::Running { environment: environment.clone(), until: now + self.limit };
        vec![Action::Start(environment)]
    }

    fn fail(&mut self, now: Instant, mut environment: Environment) -> Vec<Action> {
        if let Some(next) = self.next.take() {
            return self.start(now, next);
        }
        match environment.iter_mut().find(|(name, _)| name == REASON) {
            Some((_, reason)) => "retry".clone_into(reason),
            None => environment.push((REASON.to_owned(), "retry".to_owned())),
        }
        self.state = State::Waiting { environment, until: now + self.backoff.delay() };
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const OK: Event = Event::Finished { is_success: true };
    const FAILED: Event = Event::Finished { is_success: false };

    fn env(reason: &str) -> Environment {
        vec![("ZK_PATH".to_owned(), "/farm".to_owned()), (REASON.to_owned(), reason.to_owned())]
    }

    fn asked(reason: &str) -> Event {
        Event::Requested(env(reason))
    }

    fn started(reason: &str) -> Vec<Action> {
        vec![Action::Start(env(reason))]
    }

    #[test]
    fn requests_while_it_runs_are_one_further_run_with_the_last_environment() {
        let now = Instant::now();
        let mut machine = HookMachine::new(LIMIT);
        assert_eq!(machine.deadline(), None);
        assert_eq!(machine.step(now, asked("start")), started("start"));
        for n in 0..100 {
            assert_eq!(machine.step(now, asked(&format!("change{n}"))), []);
        }
        assert_eq!(machine.step(now, OK), started("change99"));
        assert!(machine.is_busy());
        assert_eq!(machine.step(now, OK), []);
        assert!(!machine.is_busy());
        assert_eq!(machine.deadline(), None);
    }

    #[test]
    fn a_command_that_takes_too_long_is_terminated_then_killed_then_tried_again() {
        let start = Instant::now();
        let mut machine = HookMachine::new(LIMIT);
        machine.step(start, asked("change"));
        assert_eq!(machine.deadline(), Some(start + LIMIT));
        let just_before = start + LIMIT - Duration::from_millis(1);
        assert_eq!(machine.step(just_before, Event::Tick), []);
        assert_eq!(machine.step(start + LIMIT, Event::Tick), [Action::Terminate]);
        assert_eq!(machine.step(start + LIMIT, Event::Tick), []);
        assert_eq!(machine.step(start + LIMIT + GRACE, Event::Tick), [Action::Kill]);
        assert_eq!(machine.deadline(), None);
        // What was ended is a failure, whatever its exit status.
        assert_eq!(machine.step(start + LIMIT + GRACE, OK), []);
        let again = machine.deadline().unwrap();
        assert_eq!(machine.step(again, Event::Tick), started("retry"));
    }

    #[test]
    fn failures_are_tried_again_ever_more_slowly_until_one_succeeds() {
        let mut now = Instant::now();
        let mut machine = HookMachine::new(LIMIT);
        machine.step(now, asked("change"));
        let mut most = Duration::ZERO;
        for _ in 0..20 {
            assert_eq!(machine.step(now, FAILED), []);
            let until = machine.deadline().unwrap();
            let delay = until - now;
            assert!(delay >= RETRY_LEAST / 2 && delay <= RETRY_MOST, "{delay:?}");
            most = most.max(delay);
            now = until;
            assert_eq!(machine.step(now, Event::Tick), started("retry"));
        }
        assert!(most >= RETRY_MOST / 2, "{most:?}");
        assert_eq!(machine.step(now, OK), []);
        machine.step(now, asked("change"));
        machine.step(now, FAILED);
        assert!(machine.deadline().unwrap() - now <= RETRY_LEAST);
    }

    #[test]
    fn newer_data_does_not_wait_for_the_retry() {
        let now = Instant::now();
        let mut machine = HookMachine::new(LIMIT);
        machine.step(now, asked("start"));
        assert_eq!(machine.step(now, FAILED), []);
        assert_eq!(machine.step(now, asked("change")), started("change"));
        machine.step(now, asked("change2"));
        assert_eq!(machine.step(now, FAILED), started("change2"));
    }

    #[test]
    fn a_retry_says_so_also_to_a_command_without_a_reason() {
        let now = Instant::now();
        let mut machine = HookMachine::new(LIMIT);
        machine.step(now, Event::Requested(Vec::new()));
        machine.step(now, FAILED);
        let retry = vec![(REASON.to_owned(), "retry".to_owned())];
        let until = machine.deadline().unwrap();
        assert_eq!(machine.step(until, Event::Tick), [Action::Start(retry)]);
    }

    #[test]
    fn a_stray_end_changes_nothing() {
        let now = Instant::now();
        let mut machine = HookMachine::new(LIMIT);
        assert_eq!(machine.step(now, OK), []);
        assert_eq!(machine.step(now, Event::Tick), []);
        assert!(!machine.is_busy());
    }
}
