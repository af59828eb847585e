//! Where a signal goes: to a process group, or to one process.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpgid, getpgrp};

/// A process group that one of our children is in, or that child alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Group(Pid),
    One(Pid),
}

impl Target {
    /// The group of one of our children, or that child alone if the group is not only the
    /// process tree's: ours, or that of one of `others`.
    pub(super) fn of(pid: Pid, others: &[Pid]) -> Self {
        match getpgid(Some(pid)) {
            // 0 is a group outside our pid namespace; 1 would signal every process.
            Ok(group) if group.as_raw() > 1 && group != getpgrp() && !others.contains(&group) => {
                Self::Group(group)
            }
            Ok(_) | Err(_) => Self::One(pid),
        }
    }

    pub(super) fn send(self, signal: Signal) -> Result<(), Errno> {
        match self {
            Self::Group(group) => killpg(group, signal),
            Self::One(pid) => kill(pid, signal),
        }
    }
}

/// Signals the child's group, or the child alone if it has left its group.
pub(super) fn send_to_child(pid: Pid, signal: Signal) -> Result<(), Errno> {
    killpg(pid, signal).or_else(|_| kill(pid, signal))
}
