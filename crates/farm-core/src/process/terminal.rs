//! The foreground of the terminal, lent to the child.
//!
//! A terminal sends its input, and the signals of Ctrl-C and Ctrl-Z, to one process group, the
//! foreground. The child has the foreground whenever we would have it if there were no child.
//!
//! **Invariant.** We take the foreground only from ourselves and our process tree. While the shell
//! has it, it stays there until the shell gives it to us.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// Our stdin, if that is our controlling terminal.
///
/// For use on the main thread; all clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    /// Our own process group, if there is a terminal.
    ours: Option<Pid>,
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The group of the latest child.
    child: Cell<Option<Pid>>,
    /// Whether that child has got the foreground and we have not taken it back.
    is_lent: Cell<bool>,
}

impl Terminal {
    /// Looks at stdin once. If that is not our controlling terminal, there is never a foreground
    /// to lend.
    #[must_use]
    pub fn of_stdin() -> Self {
        // Fails if stdin is no terminal, or the controlling terminal of another session.
        let has_one = tcgetpgrp(io::stdin()).is_ok();
        let ours = Some(getpgrp()).filter(|group| has_one && is_visible(*group));
        Self { ours, state: Rc::default() }
    }

    /// No terminal.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is a terminal.
    pub(super) const fn is_there(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether a child that starts now shall get the foreground.
    pub(super) fn is_for_child(&self) -> bool {
        self.take_back();
        self.is_there() && self.ours == foreground()
    }

    /// Remembers the child, and whether it has the foreground.
    pub(super) fn started(&self, child: Pid, is_lent: bool) {
        self.state.child.set(Some(child));
        self.state.is_lent.set(is_lent);
    }

    /// Takes the foreground back from a child whose program could not be run.
    pub(super) fn failed(&self, was_lent: bool) {
        self.state.child.set(None);
        self.state.is_lent.set(was_lent);
        self.take_back();
    }

    /// Whether the signal that stopped the child shall stop us too. It shall if the child has the
    /// foreground, where it would block all input, or if it was stopped for using the terminal.
    ///
    /// If there is no terminal, a stopped child is left to whoever stopped it.
    #[must_use]
    pub fn is_for_us(&self, signal: i32) -> bool {
        let of_terminal = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
        let has_foreground = self.state.is_lent.get() && foreground() == self.state.child.get();
        let is_of_terminal = of_terminal.into_iter().any(|stop| stop as i32 == signal);
        self.is_there() && (has_foreground || is_of_terminal)
    }

    /// Takes the foreground back if it was lent: before we end, and while there is no child.
    pub fn take_back(&self) {
        let Some(ours) = self.ours.filter(|_| self.state.is_lent.replace(false)) else { return };
        let holder = foreground();
        // If somebody else stopped us, the shell has taken the foreground, and keeps it.
        if holder.is_some_and(|group| Some(group) == self.state.child.get() || is_empty(group)) {
            give_to(ours);
        }
    }

    /// Stops us as Ctrl-Z would if we had the foreground: our whole group, because a pipeline
    /// stops as one. Returns when we are continued.
    ///
    /// If we have the foreground, this only lends it to the child and continues the child: bash
    /// sends no CONT when it brings a job that runs in the background to the foreground.
    ///
    /// We are not stopped if no shell could continue us (an orphaned process group), or if we are
    /// the first process of a container. Then this only continues the child.
    ///
    /// Call this on the main thread: no other thread is certain to be stopped before the call
    /// returns.
    pub fn suspend_ourselves(&self) {
        if !self.is_there() || self.resume_in_foreground() {
            return;
        }
        self.take_back();
        // Zero stands for our own group.
        if let Err(e) = kill(Pid::from_raw(0), Signal::SIGTSTP) {
            log::debug!("cannot stop our process group: {e}");
        }
        self.resume_in_foreground();
    }

    /// We got a CONT: lends the foreground to the child if the shell has given it to us, and
    /// continues the child. Returns whether it was lent.
    ///
    /// Most shells send a CONT also when they bring a running job to the foreground. bash does
    /// not, so call this on INT too: if we had the foreground, the Ctrl-C was for the child.
    pub fn resume(&self) -> bool {
        let is_lent = self.lend();
        if self.is_there() {
            self.continue_child();
        }
        is_lent
    }

    fn resume_in_foreground(&self) -> bool {
        let is_lent = self.lend();
        if is_lent {
            self.continue_child();
        }
        is_lent
    }

    /// Gives the foreground to the child if we have it; returns whether we had.
    pub(super) fn lend(&self) -> bool {
        let is_ours = self.is_there() && self.ours == foreground();
        let Some(child) = self.child().filter(|_| is_ours) else { return false };
        give_to(child);
        self.state.is_lent.set(true);
        true
    }

    fn continue_child(&self) {
        if let Some(child) = self.child() {
            // The child may have ended, and its group with it.
            let _ = killpg(child, Signal::SIGCONT);
        }
    }

    /// The group of the child, unless it is reaped: then another process may have its pid.
    fn child(&self) -> Option<Pid> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        self.state.child.get().filter(|child| waitid(Id::Pid(*child), look) != Err(Errno::ECHILD))
    }
}

fn foreground() -> Option<Pid> {
    tcgetpgrp(io::stdin()).ok().filter(|group| is_visible(*group))
}

/// A group outside our pid namespace is reported as 0.
fn is_visible(group: Pid) -> bool {
    group.as_raw() > 0
}

/// Group 1 is not probed: kill(2) takes -1 for all processes.
fn is_empty(group: Pid) -> bool {
    group.as_raw() > 1 && killpg(group, None) == Err(Errno::ESRCH)
}

/// Gives the foreground to a group of our session. In the background this call would stop us if
/// TTOU were not blocked.
fn give_to(group: Pid) {
    let mut held = SigSet::empty();
    held.add(Signal::SIGTTOU);
    let mask = held.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    if let Err(e) = tcsetpgrp(io::stdin(), group) {
        log::debug!(group:%; "the terminal can't be given to the group: {e}");
    }
    if let Ok(mask) = mask {
        // It was this thread's mask, so the kernel accepts it.
        let _ = mask.thread_set_mask();
    }
}
