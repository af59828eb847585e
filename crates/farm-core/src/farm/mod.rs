//! Farms over a session: the farm view, our own entry, edits of one record, the farm's size, and
//! the turns of a group.
//!
//! **Invariant.** No update of another writer is lost: every change of a record is a
//! compare-and-set against the version that it is based on.

mod contention;
mod edit;
mod entry;
mod fields;
pub mod permit;
pub mod rollout;
mod size;
#[cfg(feature = "turn")]
pub mod turn;
pub mod view;

pub use contention::Contention;
pub use edit::{Absent, Edit, EditError, edit_record, edit_znode};
pub use entry::{Claim, Share, claim, is_owned_by, look, share};
pub use fields::shortened;
pub use permit::Permit;
pub use size::{COMMON, Size, keep_size};
pub use view::FarmView;
