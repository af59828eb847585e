//! Local files that hold what znodes hold.
//!
//! [`Source`] knows what ZooKeeper has, [`Files`] what the disk has; between the two
//! travels a [`Content`], the bytes of all mirrors together. [`Settle`] says when
//! changes have come to rest.
//!
//! **Invariant.** Reading never writes: a file gets other bytes in
//! [`Files::install`] and [`Previous::put_back`] alone, all files or none.

mod content;
mod files;
mod places;
mod settle;
mod source;
mod spec;

pub use content::{Content, Leaves, Mirrored};
pub use files::{Files, FilesError, Previous, Staged, StagedCheck};
pub use places::{Overlap, check_places};
pub use settle::Settle;
pub use source::{Action, Answer, Event, News, Request, Source, Unreadable};
pub use spec::{MirrorSpec, SpecError};
