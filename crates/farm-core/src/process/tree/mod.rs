//! The child and all that descends from it.
//!
//! We are the subreaper: a descendant whose parent ends becomes our own child. So the process
//! tree is gone when we have no children left, and a stop works from the top down: each process
//! that ends hands its children to us.
//!
//! **Invariant.** Signals go only to processes that we have not reaped, and to their groups, so
//! the kernel can't have given the pid to another process. The commands that we run ourselves
//! are neither signalled nor reaped here.

mod error;
mod orphans;
mod probe_timer;
mod shutdown;
mod spawn;
mod target;

pub use error::StartError;
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use spawn::Program;

use super::terminal::Terminal;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use orphans::Orphans;
use probe_timer::ProbeTimer;
use shutdown::{Shutdown, Termination};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};
use target::send_to_child;

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl ExitStatus {
    fn of(status: std::process::ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or_default()),
        }
    }

    /// The exit code that a shell reports: 128 plus the signal for a child that was killed.
    #[must_use]
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }

    /// Whether it exited with 0.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl std::fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// What happened to the process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The child has ended and is reaped.
    Ended(ExitStatus),
    /// This signal stopped (suspended) the child.
    Stopped(i32),
    /// The child was continued.
    Continued,
    /// The child, its group and every descendant are gone.
    Gone,
}

/// The exit code that we report for a child that somebody else has reaped, as the kernel does
/// when CHLD is ignored: the failure is ours, not the child's.
const UNSEEN: i32 = 125;

/// The child and its descendants; at most one child at a time.
///
/// It has no thread and no signal handler: the loop that owns it calls [`ProcessTree::reap`] on
/// every CHLD, and [`ProcessTree::tick`] when [`ProcessTree::deadline`] has passed. When it is
/// dropped, it kills the child's group. Whenever the child has ended, it takes the terminal back.
#[derive(Debug)]
pub struct ProcessTree {
    child: Option<Child>,
    terminal: Terminal,
    terminal_probe: ProbeTimer,
    /// Whether there may be processes: from a start until the process tree is known to be gone.
    may_have_processes: bool,
    shutdown: Shutdown,
    orphans: Orphans,
}

impl ProcessTree {
    /// An empty process tree; makes us the subreaper of all our descendants.
    ///
    /// Create one per process, before any command runs.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to make us a subreaper.
    pub fn new() -> io::Result<Self> {
        set_child_subreaper(true)?;
        Ok(Self {
            child: None,
            terminal: Terminal::none(),
            terminal_probe: ProbeTimer::none(),
            may_have_processes: false,
            shutdown: Shutdown::none(),
            orphans: Orphans::new(),
        })
    }

    /// Starts the child: in a group of its own, with our stdin, stdout and stderr, no signal
    /// blocked, and the foreground of the terminal if we have it.
    ///
    /// The kernel kills the child when the calling thread ends, so call this from the main
    /// thread. (It does not if the program is setuid or changes its user.) The descendants of an
    /// earlier child stay in the process tree, but a stop of them does not go on.
    ///
    /// # Errors
    ///
    /// When there is no such program, it can't be run, or the system has no process for it.
    pub fn start(
        &mut self,
        program: &Program,
        environment: &[(OsString, OsString)],
        terminal: &Terminal,
    ) -> Result<Pid, StartError> {
        if self.is_up() {
            return Err(StartError::StillUp);
        }
        let takes_foreground = terminal.is_for_child();
        let spawned = spawn::spawn(program, environment, takes_foreground);
        let child = match spawned {
            Ok(child) => child,
            Err(e) => {
                // The child already had the terminal when its program could not be executed.
                terminal.failed(takes_foreground);
                return Err(e);
            }
        };
        let pid = spawn::pid_of(&child);
        terminal.started(pid, takes_foreground);
        self.child = Some(child);
        self.terminal = terminal.clone();
        let begin = || ProbeTimer::begin(Instant::now());
        self.terminal_probe = if terminal.is_there() { begin() } else { ProbeTimer::none() };
        self.may_have_processes = true;
        self.forget_stop();
        Ok(pid)
    }

    /// The pid of the child, until it is reaped.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(spawn::pid_of)
    }

    /// Whether there is a child that is not reaped yet.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Whether no process is left; also true before the first start.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        !self.may_have_processes
    }

    /// Whether a process is still there seconds after the kill: it hangs in the kernel, or we may
    /// not signal its user's processes. The log names it.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.may_have_processes && self.shutdown.is_stuck()
    }

    /// Signals the child's group.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid()
            && let Err(e) = send_to_child(pid, signal)
        {
            log::warn!(signal:%, pid:%; "the child can't be signalled: {e}");
        }
    }

    /// Asks the process tree to end: signals the child's group now, and once the child has ended,
    /// each remaining group once. Kills everything after `kill_timeout`.
    ///
    /// [`News::Gone`] reports the end, unless [`ProcessTree::is_gone`] is true already.
    pub fn stop(&mut self, now: Instant, signal: Signal, kill_timeout: Duration) {
        if !self.may_have_processes || self.shutdown.termination() == Termination::Kill {
            return;
        }
        self.shutdown.ask(now, signal, kill_timeout);
        self.orphans.begin_stop(now, self.pid());
        if self.is_up() {
            self.signal(signal);
            // A stopped child would sleep until it is killed.
            self.signal(Signal::SIGCONT);
        }
    }

    /// Kills the whole process tree: the child's group now, all others at the next
    /// [`ProcessTree::tick`], which is due at once.
    pub fn kill(&mut self, now: Instant) {
        if self.may_have_processes {
            self.shutdown.kill(now);
            self.signal(Signal::SIGKILL);
        }
    }

    /// When [`ProcessTree::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let terminal_probe = self.terminal_probe.deadline().filter(|_| self.is_up());
        let is_asking =
            matches!(self.shutdown.termination(), Termination::Graceful(_)) && !self.is_up();
        let orphan_probe = self.orphans.deadline().filter(|_| is_asking);
        let shutdown = orphan_probe.into_iter().chain(self.shutdown.deadline());
        terminal_probe.into_iter().chain(shutdown.filter(|_| self.may_have_processes)).min()
    }

    /// Does what is due. `others` as for [`ProcessTree::reap`].
    pub fn tick(&mut self, now: Instant, others: &[Pid]) -> Vec<News> {
        self.shutdown.tick(now);
        if self.is_up() && self.terminal_probe.is_due(now) {
            self.terminal.lend();
        }
        let mut news = self.reap(others);
        if !self.is_up() && self.orphans.is_probe_due(now) {
            self.orphans.ask_again(now, &self.shutdown, others);
            news.extend(self.reap(others));
        }
        news
    }

    /// Reaps what has ended, continues a stop, and returns what happened.
    ///
    /// `others` are the commands that we run ourselves and whose owners reap them. Their
    /// descendants belong to the process tree only once the command has ended.
    pub fn reap(&mut self, others: &[Pid]) -> Vec<News> {
        let mut news = Vec::new();
        self.check_child(&mut news);
        loop {
            let child = self.pid();
            self.orphans.reap(child, others);
            self.check_child(&mut news);
            // A child that has just ended may have left more of them.
            if self.pid() == child {
                break;
            }
        }
        if self.may_have_processes && self.orphans.end(self.pid(), &self.shutdown, others) {
            self.may_have_processes = false;
            self.forget_stop();
            news.push(News::Gone);
        }
        news
    }

    fn forget_stop(&mut self) {
        self.shutdown = Shutdown::none();
        self.orphans.forget_stop();
    }

    fn check_child(&mut self, news: &mut Vec<News>) {
        let Some(child) = &mut self.child else { return };
        let pid = spawn::pid_of(child);
        let changes = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
        loop {
            match waitid(Id::Pid(pid), changes) {
                Ok(WaitStatus::Stopped(_, signal)) => news.push(News::Stopped(signal as i32)),
                Ok(WaitStatus::Continued(_)) => news.push(News::Continued),
                // No change, or the child has ended, which `try_wait` reports below.
                Ok(_) | Err(_) => break,
            }
        }
        // Not with `nix`, which can't represent a real-time signal.
        let status = match child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => ExitStatus::of(status),
            Err(e) => {
                log::error!(pid:%; "the exit status of the child is unknown: {e}");
                ExitStatus::Exited(UNSEEN)
            }
        };
        self.child = None;
        self.terminal.take_back();
        self.orphans.begin_probing(Instant::now());
        news.push(News::Ended(status));
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        self.terminal.take_back();
    }
}
