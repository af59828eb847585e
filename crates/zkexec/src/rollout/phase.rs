//! The phase of a rollout, and the states of its permit and its child.

use std::time::Instant;

/// The phase of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first child has not been started yet.
    NotStarted,
    /// The child runs on the wanted content.
    Settled,
    /// New content waits for the allowed hours.
    OffHours,
    /// New content was found, and what the group knows of it is not read yet.
    AwaitingVerdict,
    /// The group has refused the wanted content; its old files and child stay.
    Refused,
    /// An operator wants this member to leave out the wanted content.
    Skipped,
    /// An operator has paused the group.
    Paused,
    /// Waiting in the queue for the permit.
    Queued,
    /// The permit is held; the znodes are read again.
    Rereading,
    /// The new files are written beside the old ones and checked.
    Staging,
    /// The new files are ready, but a gate is closed.
    Blocked,
    /// This host is being taken out of service.
    Draining,
    /// The try of the new content is being counted.
    Trying,
    /// The new files are being put in place.
    Installing,
    /// The child is being stopped, and is started again after that.
    Stopping,
    /// The child is being notified of the new files.
    Applying,
    /// The files that worked last are being put back.
    PuttingBack,
    /// The child runs on the new content and is not known to work yet.
    Unconfirmed,
    /// This host is being put back into service.
    Restoring,
    /// The child works; the permit is kept a little longer.
    Soaking {
        /// When the permit is given back.
        until: Instant,
    },
    /// The confirmation of the new content is being written for the group.
    Recording,
    /// The turn has failed: the content does not work or can't be put in place.
    Failed {
        /// When to try the same content again.
        retry_at: Option<Instant>,
    },
    /// zkexec was told to stop, or the child has ended.
    Leaving,
}

/// Whether the permit was requested or is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PermitState {
    /// It was not requested.
    None,
    /// This member is in the queue.
    Asked,
    /// This member holds it.
    Held,
}

/// The state of the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ChildState {
    /// It runs.
    Up,
    /// The child or one of its descendants is being stopped.
    Stopping,
    /// There is no child, and none of its descendants are left.
    Down,
}
