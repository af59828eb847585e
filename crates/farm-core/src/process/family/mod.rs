//! The child and all that descends from it.
//!
//! We are the subreaper: whatever loses its parent below us becomes our own child. So a
//! family is gone when we have no children left, and it is brought to its end from the top:
//! who dies hands its children to us.
//!
//! **Invariant.** A signal goes to a process that we have not reaped, or to the group of one:
//! no number of theirs can have become another's. The commands that we run ourselves are
//! neither signalled nor reaped.

mod ending;
mod error;
mod kin;
mod settling;
mod spawn;
mod strays;

pub use error::StartError;
pub use nix::sys::signal::Signal;
pub use nix::unistd::Pid;
pub use spawn::Program;

use super::terminal::Terminal;
use crate::engine::Boottime;
use ending::{Ending, Way};
use kin::Kin;
use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::getpid;
use settling::Settling;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};
use strays::Target;

/// How the child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Fate {
    fn of(status: ExitStatus) -> Self {
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

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
        }
    }
}

/// What became of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The child has ended, and is reaped.
    Ended(Fate),
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
/// Has no thread and no handler: the loop that owns it calls [`Family::reap`] on every
/// CHLD, and [`Family::tick`] when [`Family::deadline`] has passed. Dropped with a child,
/// it kills that child's group. The terminal is taken back whenever a child has ended.
#[derive(Debug)]
pub struct Family {
    kin: Kin,
    child: Option<Child>,
    terminal: Terminal,
    settling: Settling,
    /// Whether there may be anybody: from a start until the family was seen to be gone.
    is_peopled: bool,
    ending: Ending,
    /// Who has got the stop signal.
    asked: BTreeSet<Target>,
    /// When to look at strays of whose end nothing would tell us.
    lingering: Settling,
    /// When the child was asked to end.
    asked_at: Boottime,
    /// Since when there are only strays.
    orphaned_at: Option<Instant>,
    /// Which of them have got it once more.
    asked_again: BTreeSet<Pid>,
    /// What we had as children before we were this program: `exec > >(logger)` in a script
    /// leaves one. Reaped, and no part of the family.
    inherited: BTreeSet<Pid>,
    /// Of whom it was said that they can't be signalled.
    refused: BTreeSet<Pid>,
    is_vanity_told: bool,
    is_blindness_told: bool,
}

impl Family {
    /// A family without anybody in it; makes us the one to whom orphans fall.
    ///
    /// One per process, before any command is run.
    ///
    /// # Errors
    ///
    /// When the kernel does not let us be that.
    pub fn found() -> io::Result<Self> {
        set_child_subreaper(true)?;
        let kin = Kin::of(getpid());
        // Without a list there are most likely none; they would only be stopped too early.
        let inherited = kin.children().unwrap_or_default().into_iter().collect();
        Ok(Self {
            kin,
            child: None,
            terminal: Terminal::none(),
            settling: Settling::none(),
            is_peopled: false,
            ending: Ending::none(),
            asked: BTreeSet::new(),
            lingering: Settling::none(),
            asked_at: Boottime::UNKNOWN,
            orphaned_at: None,
            asked_again: BTreeSet::new(),
            inherited,
            refused: BTreeSet::new(),
            is_vanity_told: false,
            is_blindness_told: false,
        })
    }

    /// Starts the child: in a group of its own, with our stdin, stdout and stderr, no signal
    /// blocked, and the foreground of the terminal if that is ours.
    ///
    /// The kernel kills it when the calling thread ends, so call from the main thread. (It
    /// forgets to if the program is setuid, or changes its user.) What is left of a former
    /// child stays in the family, and is no longer being stopped.
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
        let begin = || Settling::begin(Instant::now());
        self.settling = if terminal.is_there() { begin() } else { Settling::none() };
        self.is_peopled = true;
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
        !self.is_peopled
    }

    /// Whether something has been killed for seconds and is still there: it hangs in the
    /// kernel, or belongs to a user whom we may not signal. A log line has told its name.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.is_peopled && self.ending.is_in_vain()
    }

    /// Signals the child's group.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid()
            && let Err(e) = send_to_child(pid, signal)
        {
            log::warn!(signal:%, pid:%; "the child can't be signalled: {e}");
        }
    }

    /// Asks the family to end: the child's group now; once the child has ended, whatever is
    /// left, each group once. All are killed after `kill_timeout`.
    ///
    /// [`News::Gone`] tells that it is done, unless [`Family::is_gone`] holds already.
    pub fn stop(&mut self, now: Instant, signal: Signal, kill_timeout: Duration) {
        if !self.is_peopled || self.ending.way() == Way::Kill {
            return;
        }
        self.ending.ask(now, signal, kill_timeout);
        self.asked.clear();
        self.asked_at = Boottime::now();
        if let Some(pid) = self.pid() {
            self.asked.insert(Target::Group(pid));
            self.signal(signal);
            // One that is stopped would sleep until it is killed.
            self.signal(Signal::SIGCONT);
        } else {
            self.watch_strays(now);
        }
    }

    fn watch_strays(&mut self, now: Instant) {
        self.lingering = Settling::begin(now);
        self.orphaned_at = Some(now);
        self.asked_again.clear();
    }

    /// Kills the whole family: the child's group now, the others at the next
    /// [`Family::tick`], which is due at once.
    pub fn kill(&mut self, now: Instant) {
        if self.is_peopled {
            self.ending.kill(now);
            self.signal(Signal::SIGKILL);
        }
    }

    /// When [`Family::tick`] has something to do.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let settling = self.settling.deadline().filter(|_| self.is_up());
        let is_asking = matches!(self.ending.way(), Way::Ask(_)) && !self.is_up();
        let lingering = self.lingering.deadline().filter(|_| is_asking);
        let ending = lingering.into_iter().chain(self.ending.deadline());
        settling.into_iter().chain(ending.filter(|_| self.is_peopled)).min()
    }

    /// Does what is due. `others` as for [`Family::reap`].
    pub fn tick(&mut self, now: Instant, others: &[Pid]) -> Vec<News> {
        self.ending.tick(now);
        if self.is_up() && self.settling.is_due(now) {
            self.terminal.lend();
        }
        let mut news = self.reap(others);
        if !self.is_up() && self.lingering.is_due(now) {
            self.ask_again(now, others);
            news.extend(self.reap(others));
        }
        news
    }

    /// Reaps what has ended, goes on with a stop, and tells what became of the family.
    ///
    /// `others` are the commands that we run ourselves and whose owners reap them, with all
    /// that they started and still look after. What such a command leaves behind when it
    /// ends counts as family.
    pub fn reap(&mut self, others: &[Pid]) -> Vec<News> {
        let mut news = Vec::new();
        loop {
            self.look_at_child(&mut news);
            match next_to_reap() {
                Ok(None) => break,
                Ok(Some(pid)) if self.pid() == Some(pid) => {}
                Ok(Some(pid)) if !others.contains(&pid) => self.bury(pid),
                // What has ended behind such a one is not told before that is reaped.
                Ok(Some(_)) | Err(_) => {
                    let mut pids = self.strays(others).unwrap_or_default();
                    pids.extend(&self.inherited);
                    pids.into_iter().for_each(|pid| self.bury(pid));
                    break;
                }
            }
        }
        if self.is_peopled && self.end_strays(others) {
            self.is_peopled = false;
            self.forget_stop();
            news.push(News::Gone);
        }
        news
    }

    fn forget_stop(&mut self) {
        self.ending = Ending::none();
        self.asked.clear();
        self.lingering = Settling::none();
        self.orphaned_at = None;
        self.asked_again.clear();
        self.refused.clear();
        self.is_vanity_told = false;
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
            Ok(Some(status)) => Fate::of(status),
            Err(e) => {
                log::error!(pid:%; "the end of the child was not seen: {e}");
                Fate::Exited(UNSEEN)
            }
        };
        self.child = None;
        self.terminal.take_back();
        self.watch_strays(Instant::now());
        news.push(News::Ended(fate));
    }
}

impl Drop for Family {
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
