//! Farms over a session: the farm view, our own entry, edits of one record, the
//! farm's size, and whose turn it is in a group.
//!
//! **Invariant.** What was read is never written over: every change of a record is
//! a compare-and-set against the version that it was made from.

mod edit;
mod entry;
pub mod permit;
mod size;
#[cfg(feature = "turn")]
pub mod turn;
pub mod view;

pub use edit::{Absent, Edit, EditError, edit_record, edit_znode};
pub use entry::{Claim, Share, claim, is_owned_by, look, share};
pub use permit::Permit;
pub use size::{COMMON, Size, keep_size};
pub use view::FarmView;
