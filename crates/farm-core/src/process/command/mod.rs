//! The runner of commands: each in a shell, in a group of its own, within a time limit.
//!
//! **Invariant.** Of one executor at most one command runs at any time, none is run again
//! without being asked, and none outlives the executor. Only who drops it waits for the end of
//! a command.

mod limit;
mod run;
mod shell;

pub use shell::{Environment, about_file};

use crate::engine::Post;
use limit::Limit;
use log::Level;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use run::{Outcome, Run};
use std::time::{Duration, Instant};

/// Some run has ended; for [`Executor::finished`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub(super) run: u64,
}

/// Why a command counts as failed: it did not exit with 0, or took too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// How it ended.
    pub reason: String,
    /// The last lines of what it said, safe to log.
    pub said: Vec<String>,
}

impl Failed {
    /// Logs what it said, line by line, as the words of `who`.
    pub fn log_said(&self, level: Level, who: &str) {
        for line in &self.said {
            log::log!(level, "{who} said: {line}");
        }
    }
}

/// Runs a command when asked, once, within a time limit.
///
/// It has no thread that waits for its deadlines: the loop that owns it asks for
/// [`Executor::deadline`], calls [`Executor::tick`] when that has passed, and hands over
/// the [`Finished`] that it was posted.
#[derive(Debug)]
pub struct Executor {
    limit: Duration,
    /// Whether a command that is over its time is asked to end before it is killed.
    has_grace: bool,
    running: Option<Running>,
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
    Tell,
    /// It was cancelled.
    Nothing,
    /// It was overtaken.
    Begin {
        command: String,
        environment: Environment,
    },
}

impl Executor {
    /// One whose commands may take `limit`; `post` is called on another thread when one
    /// ends.
    #[must_use]
    pub fn new(limit: Duration, post: impl Fn(Finished) + Send + Sync + 'static) -> Self {
        Self { limit, has_grace: true, running: None, runs: 0, post: Post::new(post) }
    }

    /// Has commands killed when their time is over or nobody wants to know any more, at
    /// once: for a judgement that somebody waits for, by commands that only look.
    #[must_use]
    pub const fn without_grace(mut self) -> Self {
        self.has_grace = false;
        self
    }

    /// Runs `sh -c command`. One that still runs is cancelled, and this one begins when that
    /// is gone.
    ///
    /// # Errors
    ///
    /// What the system said when there could be no such process. Of one that begins later
    /// [`Executor::finished`] tells that.
    pub fn start(
        &mut self,
        now: Instant,
        command: &str,
        environment: &[(&'static str, String)],
    ) -> std::io::Result<()> {
        self.cancel();
        let Some(running) = &mut self.running else {
            return self.begin(now, command, environment);
        };
        let (command, environment) = (command.to_owned(), environment.to_owned());
        running.then = Then::Begin { command, environment };
        Ok(())
    }

    fn begin(
        &mut self,
        now: Instant,
        command: &str,
        environment: &[(&str, String)],
    ) -> std::io::Result<()> {
        self.runs += 1;
        let (number, post) = (self.runs, self.post.clone());
        let run = Run::start(command, environment, move || post.post(Finished { run: number }))?;
        let limit = Limit::new(now + self.limit, self.has_grace);
        self.running = Some(Running { number, run, limit, then: Then::Tell });
        Ok(())
    }

    /// Takes the end of a run, and tells whether it succeeded; `None` if it was not the
    /// one that counts.
    pub fn finished(&mut self, finished: &Finished) -> Option<Result<(), Failed>> {
        self.end(finished).map(|outcome| outcome.verdict())
    }

    /// As [`Executor::finished`], with the exit status also of a command that took too long.
    pub(super) fn end(&mut self, finished: &Finished) -> Option<Outcome> {
        let Running { run, limit, then, .. } =
            self.running.take_if(|running| running.number == finished.run)?;
        if limit.is_over() {
            // The shell took the hint, but what it had started may not have.
            run.signal(Signal::SIGKILL);
        }
        let outcome = run.end(limit.is_over().then_some(self.limit));
        match then {
            Then::Tell => Some(outcome),
            Then::Nothing => None,
            Then::Begin { command, environment } => {
                self.begin(Instant::now(), &command, &environment).err().map(Outcome::unstarted)
            }
        }
    }

    /// Has a command that runs end, and tells nothing of it. It is asked now, and killed by
    /// [`Executor::tick`] if it does not listen.
    pub fn cancel(&mut self) {
        if let Some(Running { run, limit, then, .. }) = &mut self.running {
            *then = Then::Nothing;
            limit.cancel(Instant::now()).into_iter().for_each(|signal| run.signal(signal));
        }
    }

    /// When [`Executor::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.running.as_ref().and_then(|running| running.limit.deadline())
    }

    /// The process of the command, cancelled or not, as long as there is one to reap.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.running.as_ref().map(|running| running.run.pid())
    }

    /// Does what is due, if anything is; tells whether a command was just asked to end.
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

    /// Says that it runs, and does not listen.
    const DEAF: &str = "trap '' TERM; : >\"$ZK_FILE\"; while :; do sleep 1000; done";

    struct Bench {
        check: Executor,
        inbox: Inbox<Finished>,
    }

    impl Bench {
        fn new(limit: Duration) -> Self {
            let (inbox, outbox) = inbox();
            Self { check: Executor::new(limit, move |end| outbox.post(end)), inbox }
        }

        fn verdict_on(&mut self, command: &str) -> Result<(), Failed> {
            let environment = vec![("ZK_FILE", "/x y".to_owned())];
            self.check.start(Instant::now(), command, &environment).unwrap();
            self.verdict()
        }

        /// Starts one that does not listen; its process.
        fn start_deaf(&mut self) -> Pid {
            let scratch = Scratch::new();
            let file = scratch.join("up");
            let environment = vec![("ZK_FILE", file.to_str().unwrap().to_owned())];
            self.check.start(Instant::now(), DEAF, &environment).unwrap();
            eventually("it runs", || if file.exists() { Ok(()) } else { Err("not yet") });
            self.check.pid().unwrap()
        }

        /// Lets time pass until no command is left.
        fn settle(&mut self) {
            while let Some(pid) = self.check.pid() {
                let deadline = Instant::now() + farm_harness::patience(Duration::from_secs(20));
                match self.inbox.next(Some(self.check.deadline().unwrap_or(deadline))) {
                    Some(end) => assert_eq!(self.check.finished(&end), None),
                    None => {
                        assert!(Instant::now() < deadline, "{pid} is left: {:?}", self.check);
                        self.check.tick(Instant::now());
                    }
                }
            }
        }

        fn verdict(&mut self) -> Result<(), Failed> {
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
        assert_eq!(bench.verdict_on("test \"$ZK_FILE\" = '/x y'"), Ok(()));
        let said = vec!["line 1".to_owned(), "line 2".to_owned()];
        let refused = Err(Failed { reason: "exit status 3".to_owned(), said });
        assert_eq!(bench.verdict_on("echo line 1; echo line 2 >&2; exit 3"), refused);
        // Nothing is tried again on its own.
        assert_eq!(bench.check.deadline(), None);
        assert_eq!(bench.verdict_on("true"), Ok(()));
    }

    #[test]
    fn a_check_over_its_limit_refuses_whatever_it_ends_with() {
        let mut bench = Bench::new(Duration::from_millis(200));
        let verdict = bench.verdict_on("trap 'exit 0' TERM; sleep 100 & wait");
        let reason = "not done in 200ms".to_owned();
        assert_eq!(verdict, Err(Failed { reason, said: Vec::new() }));
    }

    #[test]
    fn without_grace_the_limit_is_the_end_of_a_command_that_does_not_listen() {
        let mut bench = Bench::new(Duration::from_millis(200));
        bench.check.has_grace = false;
        let deaf = "trap '' TERM; while :; do sleep 1000; done";
        let begun = Instant::now();
        let reason = "not done in 200ms".to_owned();
        assert_eq!(bench.verdict_on(deaf), Err(Failed { reason, said: Vec::new() }));
        bench.check.start(Instant::now(), deaf, &[]).unwrap();
        bench.check.cancel();
        let took = begun.elapsed();
        assert!(took < farm_harness::patience(Duration::from_secs(3)), "{took:?}");
    }

    #[test]
    fn a_check_that_was_overtaken_says_nothing() {
        let mut bench = Bench::new(Duration::from_secs(60));
        bench.check.start(Instant::now(), "sleep 100", &[]).unwrap();
        assert_eq!(bench.verdict_on("exit 0"), Ok(()));
    }

    #[test]
    fn a_cancelled_command_keeps_nobody_waiting_and_is_named_until_it_is_reaped() {
        let mut bench = Bench::new(Duration::from_secs(60));
        let pid = bench.start_deaf();
        bench.check.cancel();
        // It is still there, so nobody has waited for its end.
        assert_eq!((kill(pid, None), bench.check.pid()), (Ok(()), Some(pid)));
        assert!(bench.check.deadline().is_some());
        bench.settle();
        assert_eq!((kill(pid, None), bench.check.deadline()), (Err(Errno::ESRCH), None));
    }

    #[test]
    fn who_overtakes_a_command_begins_when_that_is_gone() {
        let mut bench = Bench::new(Duration::from_secs(60));
        let pid = bench.start_deaf();
        bench.check.start(Instant::now(), "echo overtaken as well; exit 3", &[]).unwrap();
        let command = format!("! kill -0 {pid}");
        bench.check.start(Instant::now(), &command, &[]).unwrap();
        assert_eq!((kill(pid, None), bench.check.pid()), (Ok(()), Some(pid)));
        assert_eq!(bench.verdict(), Ok(()));

        bench.start_deaf();
        bench.check.start(Instant::now(), "exit 0", &[]).unwrap();
        bench.check.cancel();
        bench.settle();
    }

    #[test]
    fn a_cancelled_command_does_not_outlive_the_executor() {
        let mut bench = Bench::new(Duration::from_secs(60));
        let pid = bench.start_deaf();
        bench.check.cancel();
        drop(bench);
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
