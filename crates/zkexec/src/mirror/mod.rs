//! Local files that hold what znodes hold.
//!
//! [`Source`] knows what ZooKeeper has, [`Files`] what the disk has; between the two
//! travels a [`Content`], the bytes of all mirrors together.
//!
//! **Invariant.** Reading never writes: a file gets other bytes in
//! [`Files::install`] and [`Previous::put_back`] alone, all files or none.

mod content;
mod files;
#[cfg(test)]
mod live;
mod places;
mod source;
mod spec;

pub(crate) use content::{Content, Leaves, Mirrored};
pub(crate) use files::{Files, FilesError, Previous, Staged, StagedCheck};
pub(crate) use places::check_places;
pub(crate) use source::{Action, Answer, Event, News, Source};
pub(crate) use spec::MirrorSpec;
