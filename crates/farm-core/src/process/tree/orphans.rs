//! Strays: what has fallen to us because its parent is gone.
//!
//! A stop asks each group once, which two kinds of process miss: one that a shell with a trap
//! was just forking catches the signal and loses it with its next program, and one that is
//! forked later joins a group that was asked already. They would keep a restart waiting for
//! the whole kill timeout and die without cleaning up, which one run in a hundred of a busy
//! test did; the kill ends them in any case. So the young, and they alone, are asked a second
//! time: many older programs give up their clean end when they are asked twice. The price
//! is at most three reads of `/proc/PID/stat` for each orphan that is left after [`LINGERING`].

use super::shutdown::Termination;
use super::{ProcessTree, send_to_child};
use crate::engine::Boottime;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{Pid, getpgid, getpgrp};
use std::time::{Duration, Instant};

/// Who is left so long after the child has most likely not heard that it shall end.
const LINGERING: Duration = Duration::from_millis(200);

/// Who was started so short a time before the child was asked may have been a copy of its
/// parent at that moment.
const YOUTH: Duration = Duration::from_millis(100);

/// A group with one of ours in it, or a process alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Group(Pid),
    One(Pid),
}

impl Target {
    /// The group of a process of ours, if all in it are the process tree's.
    fn of(pid: Pid, others: &[Pid]) -> Self {
        match getpgid(Some(pid)) {
            // 0 is a group outside our pid namespace; 1 would be everybody.
            Ok(group) if group.as_raw() > 1 && group != getpgrp() && !others.contains(&group) => {
                Self::Group(group)
            }
            Ok(_) | Err(_) => Self::One(pid),
        }
    }

    fn send(self, signal: Signal) -> Result<(), Errno> {
        match self {
            Self::Group(group) => killpg(group, signal),
            Self::One(pid) => kill(pid, signal),
        }
    }
}

impl ProcessTree {
    /// Our children but the child and those that others look after; `None` if nobody knows.
    pub(super) fn orphans(&mut self, others: &[Pid]) -> Option<Vec<Pid>> {
        if !self.is_up() && others.is_empty() && self.inherited.is_empty() && has_no_child() {
            return Some(Vec::new());
        }
        let child = self.pid();
        match self.table.children() {
            Ok(mut pids) => {
                pids.retain(|pid| {
                    Some(*pid) != child && !others.contains(pid) && !self.inherited.contains(pid)
                });
                Some(pids)
            }
            Err(e) => {
                if !std::mem::replace(&mut self.has_logged_unlisted, true) {
                    log::error!("cannot see what the child leaves behind: /proc: {e}");
                }
                None
            }
        }
    }

    /// Reaps a process of ours if it has ended.
    pub(super) fn reap_one(&mut self, pid: Pid) {
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(nix::sys::wait::WaitStatus::StillAlive) => {}
            // Also the error that `nix` makes of a signal that it has no word for.
            Ok(_) | Err(_) => {
                self.inherited.remove(&pid);
                self.refused.remove(&pid);
            }
        }
    }

    /// Does to the orphans what is now to be done to them; whether the process tree is gone.
    pub(super) fn end_orphans(&mut self, others: &[Pid]) -> bool {
        let termination = self.shutdown.termination();
        if self.is_up() && termination != Termination::Kill {
            // Until the child has ended it may need them to end well.
            return false;
        }
        let orphans = self.orphans(others);
        if !self.is_up() && orphans.as_ref().is_some_and(Vec::is_empty) {
            return true;
        }
        let orphans = orphans.unwrap_or_default();
        match termination {
            Termination::None => {}
            Termination::Graceful(signal) => {
                orphans.iter().for_each(|pid| self.ask(*pid, others, signal));
            }
            Termination::Kill => {
                let child = self.pid();
                if let Some(pid) = child {
                    let sent = send_to_child(pid, Signal::SIGKILL);
                    self.log_refusal(pid, sent);
                }
                for pid in &orphans {
                    // By groups, for nobody in a group can fork past that.
                    let sent = Target::of(*pid, others).send(Signal::SIGKILL);
                    let sent = sent.or_else(|_| kill(*pid, Signal::SIGKILL));
                    self.log_refusal(*pid, sent);
                }
                self.log_stuck(child.iter().chain(&orphans));
            }
        }
        false
    }

    /// Asks the young ones that are still here a while after the child by themselves: see the
    /// module's page.
    pub(super) fn ask_again(&mut self, now: Instant, others: &[Pid]) {
        let Termination::Graceful(signal) = self.shutdown.termination() else { return };
        if self.orphaned_at.is_none_or(|since| now.saturating_duration_since(since) < LINGERING) {
            return;
        }
        for pid in self.orphans(others).unwrap_or_default() {
            if self.is_young(pid) && self.asked_again.insert(pid) {
                self.log_refusal(pid, Target::One(pid).send(signal));
                let _ = Target::One(pid).send(Signal::SIGCONT);
            }
        }
    }

    fn is_young(&self, pid: Pid) -> bool {
        let started = self.table.started(pid);
        self.asked_at != Boottime::UNKNOWN
            && started.is_some_and(|at| Boottime::after_boot(at + YOUTH) >= self.asked_at)
    }

    fn ask(&mut self, pid: Pid, others: &[Pid], signal: Signal) {
        let target = Target::of(pid, others);
        if self.asked.insert(target) {
            self.log_refusal(pid, target.send(signal));
            // One that is stopped would sleep until it is killed.
            let _ = target.send(Signal::SIGCONT);
        }
    }

    fn log_refusal(&mut self, pid: Pid, sent: Result<(), Errno>) {
        if let Err(e) = sent
            && e != Errno::ESRCH
            && self.refused.insert(pid)
        {
            let name = self.table.name_of(pid);
            log::warn!(pid:%, name:?; "a descendant of the child can't be signalled: {e}");
        }
    }

    fn log_stuck<'a>(&mut self, left: impl Iterator<Item = &'a Pid>) {
        if self.shutdown.is_stuck() && !std::mem::replace(&mut self.has_logged_stuck, true) {
            for pid in left {
                let name = self.table.name_of(*pid);
                log::warn!(pid:%, name:?; "killed, and still there");
            }
        }
    }
}

fn has_no_child() -> bool {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, look) == Err(Errno::ECHILD)
}
