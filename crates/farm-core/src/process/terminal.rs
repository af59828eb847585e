//! The foreground of the terminal, lent to the child.
//!
//! A terminal sends what is typed, and the signals of Ctrl-C and Ctrl-Z, to one group, its
//! foreground. The child is to have it exactly when we would have it without the child.
//!
//! **Invariant.** The foreground is taken from nobody but us and our process tree: when the shell
//! has it, it stays there until the shell gives it to us.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// The terminal that our stdin is, if it is one and controls us.
///
/// Belongs to the main thread; all copies are the one terminal.
#[derive(Debug, Clone, Default)]
pub struct Terminal {
    /// Our own group, if there is a terminal for it.
    ours: Option<Pid>,
    state: Rc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The group of the latest child.
    child: Cell<Option<Pid>>,
    /// Whether that child was given the foreground, and it was not taken back.
    is_lent: Cell<bool>,
}

impl Terminal {
    /// Looks at stdin. If that is not the terminal which controls us, there is nothing to
    /// lend, now and later.
    #[must_use]
    pub fn of_stdin() -> Self {
        // Fails for all that is no terminal, and for one that controls others.
        let has_one = tcgetpgrp(io::stdin()).is_ok();
        let ours = Some(getpgrp()).filter(|group| has_one && is_number(*group));
        Self { ours, state: Rc::default() }
    }

    /// A terminal that is none.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is any foreground to lend.
    pub(super) const fn is_there(&self) -> bool {
        self.ours.is_some()
    }

    /// Whether a child that starts now is to be the foreground.
    pub(super) fn is_for_child(&self) -> bool {
        self.take_back();
        self.is_there() && self.ours == foreground()
    }

    /// Remembers whom the terminal is for.
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

    /// Whether a child that was stopped by this signal shall stop us too: because it had
    /// the foreground, so that nobody could type anything any more, or because it wants it.
    ///
    /// A child without a terminal that somebody stopped is that one's business.
    #[must_use]
    pub fn is_for_us(&self, signal: i32) -> bool {
        let wants = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU];
        let has = self.state.is_lent.get() && foreground() == self.state.child.get();
        self.is_there() && (has || wants.into_iter().any(|want| want as i32 == signal))
    }

    /// Makes us the foreground again, if it was lent: before we end, and as long as there is
    /// no child.
    pub fn take_back(&self) {
        let Some(ours) = self.ours.filter(|_| self.state.is_lent.replace(false)) else { return };
        let holder = foreground();
        // Who stopped us from outside has made the shell take it, behind our back.
        if holder.is_some_and(|group| Some(group) == self.state.child.get() || is_empty(group)) {
            give_to(ours);
        }
    }

    /// Stops us as Ctrl-Z would have without a child in the foreground: our whole group,
    /// for a pipeline stops as one. Returns when we are continued.
    ///
    /// If the terminal is ours all the while, the child only has to be given it: bash tells
    /// nobody when it fetches a job that runs in the background.
    ///
    /// Nothing happens when no shell is there that could continue us (an orphaned group), or
    /// when we are the first process of a container: then the child just runs on.
    ///
    /// Of no use but on the main thread, which alone is sure to be stopped before the call
    /// returns.
    pub fn suspend_ourselves(&self) {
        if !self.is_there() || self.resume_in_foreground() {
            return;
        }
        self.take_back();
        // Zero is our own group, whatever its number is.
        if let Err(e) = kill(Pid::from_raw(0), Signal::SIGTSTP) {
            log::debug!("cannot be stopped: {e}");
        }
        self.resume_in_foreground();
    }

    /// We were continued (CONT): lends the terminal to the child if the shell has given it
    /// to us, and continues the child. Whether it was lent.
    ///
    /// Also for one that was sent to the background, and is fetched back later: most shells
    /// say so by this signal alone. For bash, which does not, ask here when INT comes: if the
    /// terminal was ours, what was typed was meant for the child.
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

    /// Gives the foreground to the child if it is ours; whether it was.
    pub(super) fn lend(&self) -> bool {
        let is_ours = self.is_there() && self.ours == foreground();
        let Some(child) = self.child().filter(|_| is_ours) else { return false };
        give_to(child);
        self.state.is_lent.set(true);
        true
    }

    fn continue_child(&self) {
        if let Some(child) = self.child() {
            // It may have ended, and its group with it.
            let _ = killpg(child, Signal::SIGCONT);
        }
    }

    /// The group of the child, unless that is reaped and its number perhaps another's.
    fn child(&self) -> Option<Pid> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        self.state.child.get().filter(|child| waitid(Id::Pid(*child), look) != Err(Errno::ECHILD))
    }
}

fn foreground() -> Option<Pid> {
    tcgetpgrp(io::stdin()).ok().filter(|group| is_number(*group))
}

/// A group outside our pid namespace has the number 0 here, and group 1 can't be signalled:
/// that would mean everybody.
fn is_number(group: Pid) -> bool {
    group.as_raw() > 0
}

fn is_empty(group: Pid) -> bool {
    group.as_raw() > 1 && killpg(group, None) == Err(Errno::ESRCH)
}

/// Hands the foreground to a group of our session. From the background this would stop us,
/// were TTOU not blocked.
fn give_to(group: Pid) {
    let mut held = SigSet::empty();
    held.add(Signal::SIGTTOU);
    let mask = held.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    if let Err(e) = tcsetpgrp(io::stdin(), group) {
        log::debug!(group:%; "the terminal can't be handed over: {e}");
    }
    if let Ok(mask) = mask {
        // The mask is one that this thread had: it can't be refused.
        let _ = mask.thread_set_mask();
    }
}
