//! The options, events and actions of a rollout.

pub(crate) use farm_core::farm::rollout::state::Tried;
pub(crate) use farm_core::farm::rollout::{Known, Version};
pub(crate) use farm_core::farm::turn::Gates;

use super::Phase;
use nix::sys::signal::Signal;
use std::time::Duration;

/// The options of a rollout.
#[derive(Debug, Clone)]
pub(crate) struct RolloutOptions {
    /// Whether this member belongs to a group (`--lock`).
    pub(crate) is_locked: bool,
    /// Whether there is a health check; its first success confirms the child.
    pub(crate) has_health: bool,
    /// How long the child may take to be confirmed; without a health check, how long it has to
    /// stay up.
    pub(crate) delay: Duration,
    /// How long the permit is kept after the confirmation.
    pub(crate) soak: Duration,
    /// How the child is made to use changed files.
    pub(crate) on_change: OnChange,
    /// What follows a config failure.
    pub(crate) on_failure: OnFailure,
    /// Whether this host is drained before the child is stopped.
    pub(crate) drains: bool,
    /// Whether more than one member may hold a permit at once.
    pub(crate) has_many_holders: bool,
}

/// A content, of which the group knows the version.
pub(crate) trait Versioned {
    /// Its version. Contents with equal bytes may have different ones: a deleted znode keeps its
    /// file.
    fn version(&self) -> Version;
}

/// The orders of the operators to this member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Orders {
    /// It begins no turn.
    pub(crate) is_paused: bool,
    /// Its child is restarted once for each number up to this one.
    pub(crate) restart: u64,
    /// Raised to have a failed turn tried again.
    pub(crate) retry: u64,
    /// It leaves out this version.
    pub(crate) skipped: Option<Version>,
}

/// How the child is made to use changed files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnChange {
    /// It is restarted.
    Restart,
    /// It watches the files itself.
    Nothing,
    /// It gets this signal.
    Signal(Signal),
    /// This command notifies it.
    Command(String),
}

/// What follows a config failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The child stays as it is, up or down, until there is other content.
    Hold,
    /// The files that worked last are put back, and the child runs on them.
    RollBack,
}

/// An event. `C` is the content of all mirrors together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event<C> {
    /// The first child was started on this content.
    FirstStarted(C),
    /// The child was started on existing files, and they turn out to have this content.
    Recognised(C),
    /// ZooKeeper has this content, and it has not changed for `--wait`.
    Wanted(C),
    /// The group's verdict on that version was read.
    Known(Version, Known),
    /// The orders of the operators were read.
    Orders(Orders),
    /// This member now holds the permit.
    Granted,
    /// This member has lost the permit, or its place in the queue.
    PermitLost,
    /// The content in ZooKeeper, read after the permit was granted.
    Reread(C),
    /// The new files are on the disk and checked, but not in place.
    Staged,
    /// A check refuses the content.
    Refused,
    /// The new files can't be written.
    StageFailed,
    /// A gate has opened or closed.
    Gates(Gates),
    /// This host is out of service.
    Drained,
    /// Whether the new content may be tried.
    Tried(Tried),
    /// The new files are in place.
    Installed,
    /// The new files could not be put in place; the old ones still are.
    InstallFailed,
    /// It is not certain that this member still holds the permit; nothing was put in place.
    PermitUnconfirmed,
    /// The files that worked last are in place again.
    PutBack,
    /// They could not be put back.
    PutBackFailed,
    /// The child has ended.
    Ended {
        /// Whether its exit code is 0.
        is_success: bool,
    },
    /// The child and all its descendants are gone.
    Gone,
    /// The child was started.
    Started,
    /// The child could not be started.
    StartFailed,
    /// The attempt to notify the child of the new files has ended.
    Applied {
        /// Whether the child was notified.
        is_success: bool,
    },
    /// A health check has succeeded.
    Healthy,
    /// This host is back in service.
    Restored,
    /// The confirmation is written, as far as it can be.
    Recorded,
    /// zkexec is to stop.
    Stop,
    /// A deadline may have passed.
    Tick,
}

impl<C> Event<C> {
    /// The phase that waits for this answer, if it is one. In any other phase the answer is out
    /// of date and ignored.
    pub(super) const fn awaited_in(&self) -> Option<Phase> {
        match self {
            Self::FirstStarted(_) => Some(Phase::NotStarted),
            Self::Reread(_) => Some(Phase::Rereading),
            Self::Staged | Self::Refused | Self::StageFailed => Some(Phase::Staging),
            Self::Tried(_) => Some(Phase::Trying),
            Self::Installed | Self::InstallFailed | Self::PermitUnconfirmed => {
                Some(Phase::Installing)
            }
            Self::PutBack | Self::PutBackFailed => Some(Phase::PuttingBack),
            Self::Restored => Some(Phase::Restoring),
            Self::Recorded => Some(Phase::Recording),
            _ => None,
        }
    }
}

/// The reason for an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlertReason {
    /// The child failed by itself or could not be started.
    Exit,
    /// A health check failed. The rollout never raises this one.
    Health,
    /// New content does not work or can't be put in place.
    Config,
}

impl AlertReason {
    /// The value of `ZKEXEC_EVENT`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Health => "health",
            Self::Config => "config",
        }
    }
}

/// An action for the runner to perform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action<C> {
    /// Join the queue for the permit.
    Ask,
    /// Whether the permit counts only at the head of the queue. If it is held and no longer
    /// counts, another [`Event::Granted`] follows.
    NeedHead(bool),
    /// Leave the queue, or give the permit back.
    GiveBack,
    /// Read the znodes again; answered by [`Event::Reread`].
    Reread,
    /// Write the content beside the files and check it.
    Stage(C),
    /// Remove what is staged.
    Unstage,
    /// Take this host out of service.
    Drain,
    /// Put this host back into service; answered by [`Event::Restored`].
    Restore,
    /// Count a try of this version; answered by [`Event::Tried`].
    Try(Version),
    /// The counted try has touched nothing.
    Untouched,
    /// Put the staged files in place if this member surely still holds the permit.
    Install,
    /// Have the group know that this version works here; answered by [`Event::Recorded`].
    Confirm(Version),
    /// Have the group know that the child does not work on this version, which is that of the files.
    Refuse(Version),
    /// Have the group know that this version is refused by a check, before it is tried.
    RefuseUntried(Version),
    /// Put the files that worked last back in place.
    PutBack,
    /// The installed files work: from now on a rollback would put these back.
    MarkGood,
    /// Stop the child and its descendants; ends with [`Event::Gone`].
    StopChild,
    /// Start the child.
    StartChild,
    /// Notify the child of the new files.
    Apply,
    /// Check the child's health at once, and regularly from then on.
    CheckHealth,
    /// Suspend the health checks until [`Action::CheckHealth`].
    PauseHealth,
    /// Run the alert command.
    Alert(AlertReason),
    /// End zkexec with the child's exit code.
    End,
}
