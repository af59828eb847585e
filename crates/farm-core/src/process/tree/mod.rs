//! The child and all that descends from it.
//!
//! We are the subreaper: whatever loses its parent below us becomes our own child. So a
//! process tree is gone when we have no children left, and it is brought to its end from the top:
//! who dies hands its children to us.
//!
//! **Invariant.** A signal goes to a process that we have not reaped, or to the group of one:
//! no number of theirs can have become another's. The commands that we run ourselves are
//! neither signalled nor reaped.

mod error;
mod orphans;
mod probe_timer;
mod shutdown;
mod spawn;
mod table;

pub use error::StartError;
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use spawn::Program;

use super::terminal::Terminal;
use crate::engine::Boottime;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::getpid;
use orphans::Target;
use probe_timer::ProbeTimer;
use shutdown::{Shutdown, Termination};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};
use table::ProcessTable;

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl ExitStatus {
    fn of(status: std::process::ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Killed(signal.unwrap_or_default()),
        }
    }

    /// The code by which shells tell of it: 128 and the signal for one that was killed.
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

/// What became of the process tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The child has ended, and is reaped.
    Ended(ExitStatus),
    /// The child was stopped by this signal, and lives.
    Stopped(i32),
    /// The child goes on.
    Continued,
    /// The child, its group and every descendant are gone.
    Gone,
}

/// What a child counts as whose end somebody else has reaped, as the system does when CHLD
/// is ignored: our fault, not the child's.
const UNSEEN: i32 = 125;

/// The child and its descendants; at most one child at a time.
///
/// Has no thread and no handler: the loop that owns it calls [`ProcessTree::reap`] on every
/// CHLD, and [`ProcessTree::tick`] when [`ProcessTree::deadline`] has passed. Dropped with a child,
/// it kills that child's group. The terminal is taken back whenever a child has ended.
#[derive(Debug)]
pub struct ProcessTree {
    table: ProcessTable,
    child: Option<Child>,
    terminal: Terminal,
    terminal_probe: ProbeTimer,
    /// Whether there may be anybody: from a start until the process tree was seen to be gone.
    may_have_processes: bool,
    shutdown: Shutdown,
    /// Who has got the stop signal.
    asked: BTreeSet<Target>,
    /// When to look at orphans of whose end nothing would tell us.
    orphan_probe: ProbeTimer,
    /// When the child was asked to end.
    asked_at: Boottime,
    /// Since when there are only orphans.
    orphaned_at: Option<Instant>,
    /// Which of them have got it once more.
    asked_again: BTreeSet<Pid>,
    /// What we had as children before we were this program: `exec > >(logger)` in a script
    /// leaves one. Reaped, and no part of the process tree.
    inherited: BTreeSet<Pid>,
    /// Of whom it was said that they can't be signalled.
    refused: BTreeSet<Pid>,
    has_logged_stuck: bool,
    has_logged_unlisted: bool,
}

impl ProcessTree {
    /// A process tree without anybody in it; makes us the one to whom orphans fall.
    ///
    /// One per process, before any command is run.
    ///
    /// # Errors
    ///
    /// When the kernel does not let us be that.
    pub fn new() -> io::Result<Self> {
        set_child_subreaper(true)?;
        let table = ProcessTable::of(getpid());
        // Without a list there are most likely none; they would only be stopped too early.
        let inherited = table.children().unwrap_or_default().into_iter().collect();
        Ok(Self {
            table,
            child: None,
            terminal: Terminal::none(),
            terminal_probe: ProbeTimer::none(),
            may_have_processes: false,
            shutdown: Shutdown::none(),
            asked: BTreeSet::new(),
            orphan_probe: ProbeTimer::none(),
            asked_at: Boottime::UNKNOWN,
            orphaned_at: None,
            asked_again: BTreeSet::new(),
            inherited,
            refused: BTreeSet::new(),
            has_logged_stuck: false,
            has_logged_unlisted: false,
        })
    }

    /// Starts the child: in a group of its own, with our stdin, stdout and stderr, no signal
    /// blocked, and the foreground of the terminal if that is ours.
    ///
    /// The kernel kills it when the calling thread ends, so call from the main thread. (It
    /// forgets to if the program is setuid, or changes its user.) What is left of a former
    /// child stays in the process tree, and is no longer being stopped.
    ///
    /// # Errors
    ///
    /// When there is no such program, it can't be run, or no process can be had.
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
                // It had the terminal already when its program turned out not to run.
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

    /// The child, until it is reaped.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(spawn::pid_of)
    }

    /// Whether the child has not been reaped.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.child.is_some()
    }

    /// Whether nobody is left; also before the first start.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        !self.may_have_processes
    }

    /// Whether something has been killed for seconds and is still there: it hangs in the
    /// kernel, or belongs to a user whom we may not signal. A log line has told its name.
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

    /// Asks the process tree to end: the child's group now; once the child has ended, whatever is
    /// left, each group once. All are killed after `kill_timeout`.
    ///
    /// [`News::Gone`] tells that it is done, unless [`ProcessTree::is_gone`] holds already.
    pub fn stop(&mut self, now: Instant, signal: Signal, kill_timeout: Duration) {
        if !self.may_have_processes || self.shutdown.termination() == Termination::Kill {
            return;
        }
        self.shutdown.ask(now, signal, kill_timeout);
        self.asked.clear();
        self.asked_at = Boottime::now();
        if let Some(pid) = self.pid() {
            self.asked.insert(Target::Group(pid));
            self.signal(signal);
            // One that is stopped would sleep until it is killed.
            self.signal(Signal::SIGCONT);
        } else {
            self.watch_orphans(now);
        }
    }

    fn watch_orphans(&mut self, now: Instant) {
        self.orphan_probe = ProbeTimer::begin(now);
        self.orphaned_at = Some(now);
        self.asked_again.clear();
    }

    /// Kills the whole process tree: the child's group now, the others at the next
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
        let orphan_probe = self.orphan_probe.deadline().filter(|_| is_asking);
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
        if !self.is_up() && self.orphan_probe.is_due(now) {
            self.ask_again(now, others);
            news.extend(self.reap(others));
        }
        news
    }

    /// Reaps what has ended, goes on with a stop, and tells what became of the process tree.
    ///
    /// `others` are the commands that we run ourselves and whose owners reap them, with all
    /// that they started and still look after. What such a command leaves behind when it
    /// ends counts as process tree.
    pub fn reap(&mut self, others: &[Pid]) -> Vec<News> {
        let mut news = Vec::new();
        loop {
            self.look_at_child(&mut news);
            match next_to_reap() {
                Ok(None) => break,
                Ok(Some(pid)) if self.pid() == Some(pid) => {}
                Ok(Some(pid)) if !others.contains(&pid) => self.reap_one(pid),
                // What has ended behind such a one is not told before that is reaped.
                Ok(Some(_)) | Err(_) => {
                    let mut pids = self.orphans(others).unwrap_or_default();
                    pids.extend(&self.inherited);
                    pids.into_iter().for_each(|pid| self.reap_one(pid));
                    break;
                }
            }
        }
        if self.may_have_processes && self.end_orphans(others) {
            self.may_have_processes = false;
            self.forget_stop();
            news.push(News::Gone);
        }
        news
    }

    fn forget_stop(&mut self) {
        self.shutdown = Shutdown::none();
        self.asked.clear();
        self.orphan_probe = ProbeTimer::none();
        self.orphaned_at = None;
        self.asked_again.clear();
        self.refused.clear();
        self.has_logged_stuck = false;
    }

    fn look_at_child(&mut self, news: &mut Vec<News>) {
        let Some(child) = &mut self.child else { return };
        let pid = spawn::pid_of(child);
        let changes = WaitPidFlag::WSTOPPED | WaitPidFlag::WCONTINUED | WaitPidFlag::WNOHANG;
        loop {
            match waitid(Id::Pid(pid), changes) {
                Ok(WaitStatus::Stopped(_, signal)) => news.push(News::Stopped(signal as i32)),
                Ok(WaitStatus::Continued(_)) => news.push(News::Continued),
                // Nothing new, or it has ended: then there is nothing to see in this way.
                Ok(_) | Err(_) => break,
            }
        }
        // Not through `nix`, which has no word for an end by a real-time signal.
        let fate = match child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => ExitStatus::of(status),
            Err(e) => {
                log::error!(pid:%; "the end of the child was not seen: {e}");
                ExitStatus::Exited(UNSEEN)
            }
        };
        self.child = None;
        self.terminal.take_back();
        self.watch_orphans(Instant::now());
        news.push(News::Ended(fate));
    }
}

impl Drop for ProcessTree {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        self.terminal.take_back();
    }
}

/// The next process that has ended; it stays unreaped.
fn next_to_reap() -> Result<Option<Pid>, Errno> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::All, look) {
        Ok(status) => Ok(status.pid().filter(|pid| pid.as_raw() > 0)),
        Err(Errno::ECHILD) => Ok(None),
        // There is one, and `nix` has no word for how it ended.
        Err(e) => Err(e),
    }
}

fn send_to_child(pid: Pid, signal: Signal) -> Result<(), Errno> {
    // The group is empty if the child has left it.
    killpg(pid, signal).or_else(|_| kill(pid, signal))
}
