//! Hooks: the command that runs after a change.
//!
//! **Invariant.** Of one hook at most one command runs at any time, and none
//! outlives the hook.

mod check;
mod machine;
mod run;

pub use check::{Check, Verdict};
pub use machine::{Action, Event, HookMachine};
pub(super) use run::OURS;

use nix::unistd::Pid;
use run::Run;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a command may go on after it was told to end.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long a command may take to end when we are ending ourselves.
const STOP_GRACE: Duration = Duration::from_millis(250);
/// As many of the last lines of a failed command are logged.
const LINES_MAX: usize = 10;

/// Names and values for the command to find in its environment.
pub type Environment = Vec<(String, String)>;

/// One word for a shell, whatever is in it.
#[must_use]
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Some run has ended; for [`Hook::finished`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    run: u64,
}

/// Runs a command after changes: never two at once, within a time limit, again
/// after a failure.
///
/// It has no thread that waits for its deadlines: the loop that owns it asks for
/// [`Hook::deadline`] and calls [`Hook::tick`] when that has passed, and hands
/// over the [`Finished`] that it was posted.
pub struct Hook {
    command: String,
    machine: HookMachine,
    run: Option<Run>,
    runs: u64,
    post: Arc<dyn Fn(Finished) + Send + Sync>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, machine, run, runs, post: _ } = self;
        f.debug_struct("Hook")
            .field("command", command)
            .field("machine", machine)
            .field("run", run)
            .field("runs", runs)
            .finish_non_exhaustive()
    }
}

impl Hook {
    /// A hook for `sh -c command`; `post` is called on another thread when a run ends.
    #[must_use]
    pub fn new(
        command: String,
        limit: Duration,
        post: impl Fn(Finished) + Send + Sync + 'static,
    ) -> Self {
        let machine = HookMachine::new(limit);
        Self { command, machine, run: None, runs: 0, post: Arc::new(post) }
    }

    /// Something changed: runs the command now, or once more after the one that runs.
    ///
    /// Of several requests that wait, the last environment counts.
    pub fn request(&mut self, now: Instant, environment: Environment) {
        self.step(now, Event::Requested(environment));
    }

    /// Takes the end of a run; `Some(true)` if the command succeeded, `None` if
    /// this was no run of ours.
    pub fn finished(&mut self, now: Instant, finished: &Finished) -> Option<bool> {
        let run = self.run.take_if(|run| run.number() == finished.run)?;
        if self.machine.is_ending() {
            // The shell took the hint, but what it had started may not have.
            run.signal(nix::sys::signal::Signal::SIGKILL);
        }
        let outcome = run.end();
        let is_success = outcome.is_success();
        if is_success {
            log::debug!("command succeeded: cmd={:?}", self.command);
        } else {
            log::warn!("command failed: {} cmd={:?}", outcome.reason(), self.command);
            for line in outcome.last_lines(LINES_MAX) {
                log::warn!("command said: {line}");
            }
        }
        self.step(now, Event::Finished { is_success });
        Some(is_success)
    }

    /// When [`Hook::tick`] has something to do.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.machine.deadline()
    }

    /// Does what is due, if anything is.
    pub fn tick(&mut self, now: Instant) {
        self.step(now, Event::Tick);
    }

    /// Whether a command runs, or will run without being asked again.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.machine.is_busy()
    }

    /// The process of the command, as long as there is one to reap.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.run.as_ref().map(Run::pid)
    }

    fn step(&mut self, now: Instant, event: Event) {
        for action in self.machine.step(now, event) {
            match action {
                Action::Start(environment) => self.start(now, &environment),
                Action::Terminate => {
                    log::warn!("command takes too long, ending it: cmd={:?}", self.command);
                    self.signal(nix::sys::signal::Signal::SIGTERM);
                }
                Action::Kill => self.signal(nix::sys::signal::Signal::SIGKILL),
            }
        }
    }

    fn start(&mut self, now: Instant, environment: &Environment) {
        self.runs += 1;
        let number = self.runs;
        let post = Arc::clone(&self.post);
        match Run::start(number, &self.command, environment, move || post(Finished { run: number }))
        {
            Ok(run) => self.run = Some(run),
            Err(e) => {
                log::warn!("command can't be started: {e} cmd={:?}", self.command);
                // One level deep: after a failure the machine waits.
                self.step(now, Event::Finished { is_success: false });
            }
        }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        if let Some(run) = &self.run {
            run.signal(signal);
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            run.abort(STOP_GRACE);
        }
    }
}

#[cfg(test)]
mod tests;
