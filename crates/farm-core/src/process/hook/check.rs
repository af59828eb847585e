//! A command that is asked for a judgement.
//!
//! **Invariant.** Of one check at most one command runs at any time, none is run
//! again without being asked, and none outlives the check.

use super::machine::{Action, Event, HookMachine};
use super::run::Run;
use super::{Environment, Finished, LINES_MAX, STOP_GRACE};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a check has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The command succeeded.
    Passed,
    /// It did not, or it took too long.
    Refused {
        /// How it ended.
        reason: String,
        /// The last lines of what it said, safe to log.
        said: Vec<String>,
    },
}

/// Runs a command when asked, once, within a time limit.
///
/// Its owner asks for [`Check::deadline`], calls [`Check::tick`] when that has
/// passed, and hands over the [`Finished`] that it was posted.
pub struct Check {
    limit: Duration,
    machine: HookMachine,
    run: Option<Run>,
    runs: u64,
    /// Whether a command that is over its time is asked to end before it is killed.
    has_grace: bool,
    post: Arc<dyn Fn(Finished) + Send + Sync>,
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limit, machine, run, runs, has_grace, post: _ } = self;
        f.debug_struct("Check")
            .field("limit", limit)
            .field("machine", machine)
            .field("run", run)
            .field("runs", runs)
            .field("has_grace", has_grace)
            .finish_non_exhaustive()
    }
}

impl Check {
    /// A check whose commands may take `limit`; `post` is called on another thread
    /// when one ends.
    #[must_use]
    pub fn new(limit: Duration, post: impl Fn(Finished) + Send + Sync + 'static) -> Self {
        let machine = HookMachine::new(limit);
        Self { limit, machine, run: None, runs: 0, has_grace: true, post: Arc::new(post) }
    }

    /// Has commands killed when their time is over or nobody wants to know any more, at
    /// once: for a judgement that somebody waits for, by commands that only look.
    #[must_use]
    pub const fn without_grace(mut self) -> Self {
        self.has_grace = false;
        self
    }

    /// Runs `sh -c command`. One that still runs is ended first, without a verdict.
    ///
    /// # Errors
    ///
    /// What the system said when there could be no such process.
    pub fn start(
        &mut self,
        now: Instant,
        command: &str,
        environment: Environment,
    ) -> std::io::Result<()> {
        self.cancel();
        self.runs += 1;
        let (number, post) = (self.runs, Arc::clone(&self.post));
        let run =
            Run::start(number, command, &environment, move || post(Finished { run: number }))?;
        self.run = Some(run);
        self.machine = HookMachine::new(self.limit);
        // The one action is the start that has just been done.
        self.machine.step(now, Event::Requested(environment));
        Ok(())
    }

    /// Takes the end of a run; `None` if it was not the one that counts.
    pub fn finished(&mut self, finished: &Finished) -> Option<Verdict> {
        let run = self.run.take_if(|run| run.number() == finished.run)?;
        let is_ending = self.machine.is_ending();
        if is_ending {
            // The shell took the hint, but what it had started may not have.
            run.signal(Signal::SIGKILL);
        }
        self.machine = HookMachine::new(self.limit);
        let outcome = run.end();
        if outcome.is_success() && !is_ending {
            return Some(Verdict::Passed);
        }
        let reason = match is_ending {
            true => format!("not done in {:?}", self.limit),
            false => outcome.reason(),
        };
        Some(Verdict::Refused { reason, said: outcome.last_lines(LINES_MAX) })
    }

    /// Ends a command that runs, without a verdict.
    pub fn cancel(&mut self) {
        if let Some(run) = self.run.take() {
            run.abort(if self.has_grace { STOP_GRACE } else { Duration::ZERO });
            self.machine = HookMachine::new(self.limit);
        }
    }

    /// When [`Check::tick`] has something to do.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    /// The process of the command, as long as there is one to reap.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.run.as_ref().map(Run::pid)
    }

    /// Does what is due, if anything is.
    pub fn tick(&mut self, now: Instant) {
        for action in self.machine.step(now, Event::Tick) {
            let signal = match action {
                Action::Terminate if self.has_grace => Signal::SIGTERM,
                Action::Terminate | Action::Kill => Signal::SIGKILL,
                // Only after an end, and then the machine is a new one.
                Action::Start(_) => continue,
            };
            if let Some(run) = &self.run {
                run.signal(signal);
            }
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Inbox, inbox};

    struct Bench {
        check: Check,
        inbox: Inbox<Finished>,
    }

    impl Bench {
        fn new(limit: Duration) -> Self {
            let (inbox, outbox) = inbox();
            Self { check: Check::new(limit, move |end| outbox.post(end)), inbox }
        }

        fn verdict_on(&mut self, command: &str) -> Verdict {
            let environment = vec![("ZK_FILE".to_owned(), "/x y".to_owned())];
            self.check.start(Instant::now(), command, environment).unwrap();
            self.verdict()
        }

        fn verdict(&mut self) -> Verdict {
            let patience = Instant::now() + farm_harness::patience(Duration::from_secs(20));
            loop {
                assert!(Instant::now() < patience, "no verdict: {:?}", self.check);
                let deadline = self.check.deadline().unwrap_or(patience).min(patience);
                let verdict = self.inbox.next(Some(deadline));
                if let Some(verdict) = verdict.and_then(|end| self.check.finished(&end)) {
                    return verdict;
                }
                self.check.tick(Instant::now());
            }
        }
    }

    #[test]
    fn the_exit_status_is_the_verdict_and_the_last_lines_the_reason() {
        let mut bench = Bench::new(Duration::from_secs(60));
        assert_eq!(bench.verdict_on("test \"$ZK_FILE\" = '/x y'"), Verdict::Passed);
        let said = vec!["line 1".to_owned(), "line 2".to_owned()];
        let refused = Verdict::Refused { reason: "exit status 3".to_owned(), said };
        assert_eq!(bench.verdict_on("echo line 1; echo line 2 >&2; exit 3"), refused);
        // Nothing is tried again on its own.
        assert_eq!(bench.check.deadline(), None);
        assert_eq!(bench.verdict_on("true"), Verdict::Passed);
    }

    #[test]
    fn a_check_over_its_limit_refuses_whatever_it_ends_with() {
        let mut bench = Bench::new(Duration::from_millis(200));
        let verdict = bench.verdict_on("trap 'exit 0' TERM; sleep 100 & wait");
        let reason = "not done in 200ms".to_owned();
        assert_eq!(verdict, Verdict::Refused { reason, said: Vec::new() });
    }

    #[test]
    fn without_grace_the_limit_is_the_end_of_a_command_that_does_not_listen() {
        let mut bench = Bench::new(Duration::from_millis(200));
        bench.check.has_grace = false;
        let deaf = "trap '' TERM; while :; do sleep 1000; done";
        let begun = Instant::now();
        let reason = "not done in 200ms".to_owned();
        assert_eq!(bench.verdict_on(deaf), Verdict::Refused { reason, said: Vec::new() });
        bench.check.start(Instant::now(), deaf, Vec::new()).unwrap();
        bench.check.cancel();
        let took = begun.elapsed();
        assert!(took < farm_harness::patience(Duration::from_secs(3)), "{took:?}");
    }

    #[test]
    fn a_check_that_was_overtaken_says_nothing() {
        let mut bench = Bench::new(Duration::from_secs(60));
        bench.check.start(Instant::now(), "sleep 100", Vec::new()).unwrap();
        assert_eq!(bench.verdict_on("exit 0"), Verdict::Passed);
    }
}
