//! The runner of commands: each in a shell, in a group of its own, within a time limit.
//!
//! **Invariant.** An executor runs at most one command at a time, runs none again by itself, and
//! none outlives it. Only dropping the executor waits for the end of a command.

mod limit;
mod outcome;
mod run;
mod shell;

pub use outcome::Failed;
pub use shell::{Environment, about_file, is_plain_word};

use crate::engine::Post;
use crate::process::tree::StartError;
use limit::Limit;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use outcome::Outcome;
use run::Run;
use std::time::{Duration, Instant};

/// A run has ended. Hand this to [`Executor::finished`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub(super) run: u64,
}

/// Runs a command once per request, within a time limit.
///
/// No thread waits for its deadlines: the loop that owns it calls [`Executor::tick`] when
/// [`Executor::deadline`] has passed, and hands it each [`Finished`] that was posted.
#[derive(Debug)]
pub struct Executor {
    limit: Duration,
    /// Whether a command that takes too long gets a TERM before the KILL.
    has_grace: bool,
    running: Option<Running>,
    /// The run that could not be started, until its end is taken.
    unstarted: Option<(u64, StartError)>,
    runs: u64,
    post: Post<Finished>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    run: Run,
    limit: Limit,
    then: Then,
}

/// What follows the end of a run.
#[derive(Debug)]
enum Then {
    /// Its outcome is returned.
    Report,
    /// Nothing: it was cancelled.
    Nothing,
    /// The next command begins: that one has replaced it.
    Begin { command: String, environment: Environment },
}

impl Executor {
    /// Each command may take `limit`; `post` is called on another thread when one ends.
    #[must_use]
    pub fn new(limit: Duration, post: impl Fn(Finished) + Send + Sync + 'static) -> Self {
        let post = Post::new(post);
        Self { limit, has_grace: true, running: None, unstarted: None, runs: 0, post }
    }

    /// Kills commands at once when they take too long or are cancelled, without a TERM first.
    /// This is for checks, which change nothing and whose verdict is waited for.
    #[must_use]
    pub const fn without_grace(mut self) -> Self {
        self.has_grace = false;
        self
    }

    /// Runs `sh -c command`. If another command still runs, it is cancelled, and this one begins
    /// when that one has ended. A command that can't be started is one that fails at once.
    pub fn start(&mut self, now: Instant, command: &str, environment: &[(&'static str, String)]) {
        self.cancel();
        match &mut self.running {
            None => self.begin(now, command, environment),
            Some(running) => {
                let (command, environment) = (command.to_owned(), environment.to_owned());
                running.then = Then::Begin { command, environment };
            }
        }
    }

    fn begin(&mut self, now: Instant, command: &str, environment: &[(&str, String)]) {
        self.runs += 1;
        let (number, post) = (self.runs, self.post.clone());
        match Run::start(command, environment, move || post.post(Finished { run: number })) {
            Ok(run) => {
                let limit = Limit::new(now + self.limit, self.has_grace);
                self.running = Some(Running { number, run, limit, then: Then::Report });
            }
            Err(error) => {
                self.unstarted = Some((number, error));
                self.post.post(Finished { run: number });
            }
        }
    }

    /// Takes the end of a run and returns whether it succeeded; `None` if the run was cancelled,
    /// replaced or not ours.
    pub fn finished(&mut self, finished: &Finished) -> Option<Result<(), Failed>> {
        self.end(finished).map(|outcome| outcome.verdict())
    }

    /// As [`Executor::finished`], but keeps the exit status of a command that took too long.
    pub(super) fn end(&mut self, finished: &Finished) -> Option<Outcome> {
        if let Some((_, error)) = self.unstarted.take_if(|(number, _)| *number == finished.run) {
            return Some(Outcome::unstarted(error));
        }
        let Running { run, limit, then, .. } =
            self.running.take_if(|running| running.number == finished.run)?;
        if limit.is_over() {
            // The shell has ended, but the processes that it started may have ignored the TERM.
            run.signal(Signal::SIGKILL);
        }
        let outcome = run.end(limit.is_over().then_some(self.limit));
        match then {
            Then::Report => Some(outcome),
            Then::Nothing => None,
            Then::Begin { command, environment } => {
                self.begin(Instant::now(), &command, &environment);
                None
            }
        }
    }

    /// Ends the command that runs, if any, and discards its outcome. It gets a TERM now, and
    /// [`Executor::tick`] kills it if it ignores that.
    pub fn cancel(&mut self) {
        self.unstarted = None;
        if let Some(Running { run, limit, then, .. }) = &mut self.running {
            *then = Then::Nothing;
            limit.cancel(Instant::now()).into_iter().for_each(|signal| run.signal(signal));
        }
    }

    /// Whether a run was begun whose end was not taken yet.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.running.is_some() || self.unstarted.is_some()
    }

    /// When [`Executor::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().and_then(|running| running.limit.deadline())
    }

    /// The pid of the command, cancelled or not, until it is reaped.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.running.as_ref().map(|running| running.run.pid())
    }

    /// Does what is due; returns whether a command that took too long has just got its TERM.
    pub fn tick(&mut self, now: Instant) -> bool {
        let Some(Running { run, limit, .. }) = &mut self.running else { return false };
        let signal = limit.tick(now);
        signal.into_iter().for_each(|signal| run.signal(signal));
        signal == Some(Signal::SIGTERM)
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.cancel();
        if let Some(Running { run, limit, .. }) = self.running.take() {
            let grace = limit.deadline().map(|by| by.saturating_duration_since(Instant::now()));
            run.kill_after(grace.unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Inbox, inbox};
    use farm_harness::{Scratch, eventually};
    use nix::errno::Errno;
    use nix::sys::signal::kill;

    /// Creates a file when it runs, and ignores TERM.
    const DEAF: &str = "trap '' TERM; : >\"$ZK_FILE\"; while :; do sleep 1000; done";

    struct Fixture {
        executor: Executor,
        inbox: Inbox<Finished>,
    }

    impl Fixture {
        fn new(limit: Duration) -> Self {
            let (inbox, outbox) = inbox();
            Self { executor: Executor::new(limit, move |end| outbox.post(end)), inbox }
        }

        fn verdict_on(&mut self, command: &str) -> Result<(), Failed> {
            let environment = vec![("ZK_FILE", "/x y".to_owned())];
            self.executor.start(Instant::now(), command, &environment);
            self.verdict()
        }

        /// Starts a command that ignores TERM; returns its pid.
        fn start_deaf(&mut self) -> Pid {
            let scratch = Scratch::new();
            let file = scratch.join("up");
            let environment = vec![("ZK_FILE", file.to_str().unwrap().to_owned())];
            self.executor.start(Instant::now(), DEAF, &environment);
            eventually("it runs", || if file.exists() { Ok(()) } else { Err("not yet") });
            self.executor.pid().unwrap()
        }

        /// Runs the executor until no command is left.
        fn wait_until_idle(&mut self) {
            while let Some(pid) = self.executor.pid() {
                let deadline = Instant::now() + farm_harness::patience(Duration::from_secs(20));
                match self.inbox.next(Some(self.executor.deadline().unwrap_or(deadline))) {
                    Some(end) => assert_eq!(self.executor.finished(&end), None),
                    None => {
                        assert!(Instant::now() < deadline, "{pid} is left: {:?}", self.executor);
                        self.executor.tick(Instant::now());
                    }
                }
            }
        }

        fn verdict(&mut self) -> Result<(), Failed> {
            let patience = Instant::now() + farm_harness::patience(Duration::from_secs(20));
            loop {
                assert!(Instant::now() < patience, "no verdict: {:?}", self.executor);
                let deadline = self.executor.deadline().unwrap_or(patience).min(patience);
                let verdict = self.inbox.next(Some(deadline));
                if let Some(verdict) = verdict.and_then(|end| self.executor.finished(&end)) {
                    return verdict;
                }
                self.executor.tick(Instant::now());
            }
        }
    }

    #[test]
    fn the_exit_status_is_the_verdict_and_the_last_lines_the_reason() {
        let mut fixture = Fixture::new(Duration::from_secs(60));
        assert_eq!(fixture.verdict_on("test \"$ZK_FILE\" = '/x y'"), Ok(()));
        let said = vec!["line 1".to_owned(), "line 2".to_owned()];
        let refused = Err(Failed { reason: "exit status 3".to_owned(), has_run: true, said });
        assert_eq!(fixture.verdict_on("echo line 1; echo line 2 >&2; exit 3"), refused);
        // The executor tries nothing again by itself.
        assert_eq!(fixture.executor.deadline(), None);
        assert_eq!(fixture.verdict_on("true"), Ok(()));
    }

    #[test]
    fn a_command_over_its_limit_fails_whatever_its_exit_status() {
        let mut fixture = Fixture::new(Duration::from_millis(200));
        let verdict = fixture.verdict_on("trap 'exit 0' TERM; sleep 100 & wait");
        let reason = "not done in 200ms".to_owned();
        assert_eq!(verdict, Err(Failed { reason, has_run: true, said: Vec::new() }));
    }

    #[test]
    fn without_grace_a_command_that_ignores_term_ends_at_the_limit() {
        let mut fixture = Fixture::new(Duration::from_millis(200));
        fixture.executor.has_grace = false;
        let deaf = "trap '' TERM; while :; do sleep 1000; done";
        let begun = Instant::now();
        let reason = "not done in 200ms".to_owned();
        assert_eq!(
            fixture.verdict_on(deaf),
            Err(Failed { reason, has_run: true, said: Vec::new() })
        );
        fixture.executor.start(Instant::now(), deaf, &[]);
        fixture.executor.cancel();
        let took = begun.elapsed();
        assert!(took < farm_harness::patience(Duration::from_secs(3)), "{took:?}");
    }

    #[test]
    fn a_command_that_was_replaced_has_no_verdict() {
        let mut fixture = Fixture::new(Duration::from_secs(60));
        fixture.executor.start(Instant::now(), "sleep 100", &[]);
        assert_eq!(fixture.verdict_on("exit 0"), Ok(()));
    }

    #[test]
    fn a_cancel_does_not_wait_and_the_pid_is_known_until_it_is_reaped() {
        let mut fixture = Fixture::new(Duration::from_secs(60));
        let pid = fixture.start_deaf();
        fixture.executor.cancel();
        // It still runs, so the cancel did not wait for its end.
        assert_eq!((kill(pid, None), fixture.executor.pid()), (Ok(()), Some(pid)));
        assert!(fixture.executor.deadline().is_some());
        fixture.wait_until_idle();
        assert_eq!((kill(pid, None), fixture.executor.deadline()), (Err(Errno::ESRCH), None));
    }

    #[test]
    fn a_command_that_replaces_another_begins_when_that_one_has_ended() {
        let mut fixture = Fixture::new(Duration::from_secs(60));
        let pid = fixture.start_deaf();
        fixture.executor.start(Instant::now(), "echo replaced as well; exit 3", &[]);
        let command = format!("! kill -0 {pid}");
        fixture.executor.start(Instant::now(), &command, &[]);
        assert_eq!((kill(pid, None), fixture.executor.pid()), (Ok(()), Some(pid)));
        assert_eq!(fixture.verdict(), Ok(()));

        fixture.start_deaf();
        fixture.executor.start(Instant::now(), "exit 0", &[]);
        fixture.executor.cancel();
        fixture.wait_until_idle();
    }

    #[test]
    fn a_cancelled_command_does_not_outlive_the_executor() {
        let mut fixture = Fixture::new(Duration::from_secs(60));
        let pid = fixture.start_deaf();
        fixture.executor.cancel();
        drop(fixture);
        assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    }

    #[test]
    fn endless_output_is_bounded_and_its_end_is_kept() {
        let (end, ended) = std::sync::mpsc::channel();
        let command = "yes no | head -c 4999998; printf 'last \\033[31m words\\n\\n' >&2; exit 7";
        let run = Run::start(command, &[], move || end.send(()).unwrap()).unwrap();
        ended.recv_timeout(farm_harness::patience(Duration::from_secs(20))).unwrap();
        let outcome = run.end(None);
        assert_eq!(outcome.exit().unwrap_err().reason, "exit status 7");
        assert_eq!(outcome.last_lines(2), ["no", "last \u{fffd}[31m words"]);
        assert!(outcome.last_lines(usize::MAX).len() <= (64 << 10) / 3 + 2);
    }
}
