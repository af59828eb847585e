//! The status line for the service manager.

use crate::rollout::Phase;
use std::fmt;

/// What zkexec is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// No server has answered yet.
    Connecting,
    /// The files for the first start are being read, written or checked.
    Preparing,
    /// The child has been started.
    Started {
        /// The phase of its rollout.
        phase: Phase,
        /// Whether the child is known to work on its files.
        is_confirmed: bool,
        /// Whether this zkexec holds the permit.
        is_holder: bool,
    },
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, is_confirmed, is_holder) = match *self {
            Self::Connecting => return f.write_str("looking for ZooKeeper"),
            Self::Preparing => return f.write_str("preparing the first start"),
            Self::Started { phase, is_confirmed, is_holder } => (phase, is_confirmed, is_holder),
        };
        f.write_str(match phase {
            Phase::NotStarted | Phase::Settled => "running",
            Phase::OffHours => "running; new content waits for the allowed hours",
            Phase::AwaitingVerdict => "running; reading what the group knows of new content",
            Phase::Refused => "running; the group has refused the new content",
            Phase::Skipped => "leaving out the new content; an operator skips this member",
            Phase::Paused => "running; the group is paused by an operator",
            Phase::Queued => "running; new content waits for the lock",
            Phase::Rereading
            | Phase::Staging
            | Phase::Draining
            | Phase::Trying
            | Phase::Installing => "running; about to restart",
            Phase::Blocked => "running; holding the lock until the farm can spare this host",
            Phase::Stopping | Phase::PuttingBack => "restarting",
            Phase::Applying | Phase::Unconfirmed | Phase::Restoring | Phase::Recording => {
                "running on new content, not confirmed yet"
            }
            Phase::Soaking { .. } => {
                "running on new content, confirmed; keeping the lock for --soak"
            }
            Phase::Failed { .. } if !is_confirmed => {
                "failed: the new content does not work; waiting for other content"
            }
            Phase::Failed { .. } if is_holder => {
                "running, holding the lock after a config failure; waiting for other content"
            }
            Phase::Failed { .. } => "running after a config failure; waiting for other content",
            Phase::Leaving => "stopping",
        })
    }
}
