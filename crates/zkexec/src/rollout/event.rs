//! What a rollout is told, and what it wants done.

pub(crate) use farm_core::farm::turn::Gates;

use super::Phase;
use nix::sys::signal::Signal;
use std::time::Duration;

/// What a rollout is asked to be.
#[derive(Debug, Clone)]
pub(crate) struct RolloutOptions {
    /// Whether there is a group that takes turns.
    pub(crate) is_locked: bool,
    /// Whether somebody checks the child's health: the first success confirms it.
    pub(crate) has_health: bool,
    /// How long the child may take until it is confirmed, or has to stay up.
    pub(crate) delay: Duration,
    /// How long the permit is kept after that.
    pub(crate) soak: Duration,
    /// What a change means for the child.
    pub(crate) on_change: OnChange,
    /// What follows a config failure.
    pub(crate) on_failure: OnFailure,
    /// Whether something is to be drained before the child is taken down.
    pub(crate) drains: bool,
}

/// What a change means for the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnChange {
    /// It is stopped and started.
    Restart,
    /// It sees for itself.
    Nothing,
    /// It gets this signal.
    Signal(Signal),
    /// This command tells it.
    Command(String),
}

/// What follows a config failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// The child stays as it is, up or down, until there is new content.
    Hold,
    /// The content that worked is put back, and the child runs on that.
    RollBack,
}

/// What happened. `C` is the content of all mirrors together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event<C> {
    /// The first child runs, on this content.
    Begun(C),
    /// What the child runs on, and nobody knew, turns out to be this.
    Recognised(C),
    /// ZooKeeper has this content, and has been quiet for a while.
    Wanted(C),
    /// The permit is ours.
    Granted,
    /// We hold no permit any more, and stand in no queue.
    PermitLost,
    /// What ZooKeeper has, read after the permit was granted.
    Reread(C),
    /// The content is on the disk, checked, and not yet in place.
    Staged,
    /// Its check says no.
    Refused,
    /// It can't be written.
    StageFailed,
    /// What the gates say has changed.
    Gates(Gates),
    /// Drained.
    Drained,
    /// The new files are in place.
    Installed,
    /// They could not be put there; the old ones still are.
    InstallFailed,
    /// The permit may be another's by now: nothing was put in place.
    LeaseOver,
    /// The files that worked are in place again.
    PutBack,
    /// They could not be put there.
    PutBackFailed,
    /// The child has ended.
    Ended {
        /// With exit status 0.
        is_success: bool,
    },
    /// So has all that descended from it.
    Gone,
    /// The child runs.
    Started,
    /// It could not be started.
    StartFailed,
    /// The child was told of the change, or could not be.
    Applied {
        /// It was.
        is_success: bool,
    },
    /// A health check has found the child well.
    Healthy,
    /// What was drained is as it was.
    Restored,
    /// We are to end.
    Stop,
    /// Time has passed.
    Tick,
}

impl<C> Event<C> {
    /// The phase to which this is the answer, if it is one. Once that is over, nobody waits
    /// for it any more.
    pub(super) const fn awaited_in(&self) -> Option<Phase> {
        match self {
            Self::Begun(_) => Some(Phase::Unbegun),
            Self::Reread(_) => Some(Phase::Rereading),
            Self::Staged | Self::Refused | Self::StageFailed => Some(Phase::Staging),
            Self::Installed | Self::InstallFailed | Self::LeaseOver => Some(Phase::Installing),
            Self::PutBack | Self::PutBackFailed => Some(Phase::PuttingBack),
            Self::Restored => Some(Phase::Restoring),
            _ => None,
        }
    }
}

/// Why somebody is alerted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// The child ended by itself, and not well.
    Exit,
    /// Its health failed, which no rollout tells.
    Health,
    /// New content does not work, or can't be put in place.
    Config,
}

impl Alarm {
    /// As those who are alerted are told.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Exit => "exit",
            Self::Health => "health",
            Self::Config => "config",
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action<C> {
    /// Stand in the queue for the permit.
    Ask,
    /// Leave the queue, or give the permit to the next.
    GiveBack,
    /// Read what ZooKeeper has now; answered with [`Event::Reread`].
    Reread,
    /// Put the content on the disk and have it checked.
    Stage(C),
    /// Forget what is staged.
    Unstage,
    /// Take us out of service.
    Drain,
    /// Take us into service again; answered with [`Event::Restored`].
    Restore,
    /// If we still have contact: put what is staged in place.
    Install,
    /// Put the files back that worked.
    PutBack,
    /// What is in place works: it is what would be put back.
    Keep,
    /// Stop the child and all that descends from it; ends with [`Event::Gone`].
    StopChild,
    /// Start the child.
    StartChild,
    /// Tell the child of the change.
    Apply,
    /// Check its health from now on, at once first.
    CheckHealth,
    /// No checks while there is no child to check.
    RestHealth,
    /// Alert somebody.
    Alert(Alarm),
    /// Nothing is left to do: end as the child did.
    End,
}
