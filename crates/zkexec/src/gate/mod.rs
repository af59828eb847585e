//! What has to be true before the child may be taken down.

pub mod fleet;
mod hours;
mod zone;

pub use hours::{AllowedHours, HoursError, Schedule};
pub use zone::{Zone, ZoneError};
