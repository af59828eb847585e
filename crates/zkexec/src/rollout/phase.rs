//! Where a rollout is.

use std::time::Instant;

/// Where in its turn a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No child has run yet.
    Unbegun,
    /// What runs is what is wanted.
    Settled,
    /// A turn is wanted, at a time at which none is allowed.
    OffHours,
    /// In the queue for the permit.
    Queued,
    /// The permit is ours: does the change still stand?
    Rereading,
    /// The content is written beside the files, and checked.
    Staging,
    /// Ready, and a gate is closed.
    Blocked,
    /// We are taken out of service.
    Draining,
    /// The files are put in place.
    Installing,
    /// The child is being stopped, to be started again.
    Stopping,
    /// The child is being told of new files.
    Applying,
    /// The files that worked are put back.
    PuttingBack,
    /// The child runs on the new content, well or not.
    Unconfirmed,
    /// We are taken into service again.
    Restoring,
    /// All is well; the next one has to wait a little.
    Soaking {
        /// Until then.
        until: Instant,
    },
    /// The content is no good, or can't be put in place.
    Paused {
        /// When to try the same again.
        retry_at: Option<Instant>,
    },
    /// We are to end, or the child has.
    Leaving,
}

/// How we stand with the permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permit {
    /// It is not asked for.
    None,
    /// We are in the queue.
    Asked,
    /// It is ours.
    Held,
}

/// How the child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    /// It runs.
    Up,
    /// It, or something of it, is being stopped.
    Going,
    /// There is none, and nothing is left of one.
    Down,
}
