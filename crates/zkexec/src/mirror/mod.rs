//! Local files that hold what znodes hold.
//!
//! [`MirrorSource`] knows what ZooKeeper has, [`Files`] what the disk has; between the two
//! travels a [`Content`], the bytes of all mirrors together.
//!
//! **Invariant.** Reading never writes: a file gets other bytes in
//! [`Files::install`] and [`Backups::put_back`] alone, all files or none.

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
