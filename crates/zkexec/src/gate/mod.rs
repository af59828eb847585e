//! What has to be true before the child may be taken down, and what is done first.
//!
//! [`Schedule`] knows the hours, [`fleet`] how the farm is, [`drain`] takes this host
//! out of the rotation.
//!
//! **Invariant.** Whatever is not known keeps the child running: no hour, no farm and
//! no field that can't be told lets it be stopped.

pub(crate) mod drain;
pub(crate) mod fleet;
mod hours;
mod zone;

pub(crate) use hours::{AllowedHours, Schedule};
pub(crate) use zone::Zone;
