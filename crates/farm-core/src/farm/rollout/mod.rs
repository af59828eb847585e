//! What a group remembers of its rollouts, and what operators want of it.
//!
//! The state of a group is below `/_zkexec/<NAME>`: `members/<id>` tells what each member is
//! doing, `versions/<version>` what came of a content, and `control` what operators want. It
//! outlives the member that found it out. The lock of the group is elsewhere
//! ([`permit`](super::permit)), and members that know nothing of this state share it.
//!
//! **Invariant.** Every change of a version or of the control is a compare-and-set against what
//! was read. Nobody but its owner writes the znode of a member.

mod control;
mod known;
mod layout;
mod member;
mod paths;
mod prune;
pub mod publish;
mod request;
mod sources;
pub mod state;
#[cfg(test)]
mod tests;
mod verdict;
mod version;

pub use control::Control;
pub use known::Known;
pub use layout::{Layout, Leaves, lay_out};
pub use member::{MemberRecord, MemberState, MemberVersions};
pub use paths::StatePaths;
pub use request::create_group;
pub use sources::{Source, SourceBytes, TREE_BYTES_MAX, TREE_ZNODES_MAX, version_of};
pub use verdict::{
    TRIES_MAX, Trial, TryOutcome, Verdict, VersionRecord, begin_try, confirm, refuse, retry,
    untouched,
};
pub use version::{NoVersion, Version};

/// The version of the formats of a group's state.
const FORMAT: u64 = 1;
