//! Local files that hold what znodes hold.
//!
//! [`MirrorSource`] follows the znodes, [`Files`] reads and writes the local files. A
//! [`Content`], the bytes of all mirrors together, goes from the one to the other.
//!
//! **Invariant.** Only [`Files::install`] and [`Backups::put_back`] change files, and each changes
//! all of them or none.

mod content;
mod files;
#[cfg(test)]
mod live;
mod places;
mod source;
mod spec;

pub(crate) use content::{Content, Leaves, Mirrored};
pub(crate) use files::{Backups, Files, FilesError, Staged, StagedCheck};
pub(crate) use places::check_places;
pub(crate) use source::{Action, Answer, Event, MirrorSource, News};
pub(crate) use spec::MirrorSpec;
