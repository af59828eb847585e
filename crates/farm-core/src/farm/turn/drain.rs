//! Taking this host out of the rotation while its child is down.

mod drainer;
mod field;
#[cfg(test)]
mod tests;

pub(crate) use drainer::{Answer, Drainer, Event, News};
pub(crate) use field::Restored;
pub use field::{Drain, DrainError};
