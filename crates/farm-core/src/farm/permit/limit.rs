//! How many contenders may hold a permit at once.

use std::num::NonZeroU32;

/// How many contenders may hold a permit at once, for all members and for this one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// The number of the group.
    pub(super) holders: NonZeroU32,
    /// Only the head of the queue counts, for now.
    pub(super) needs_head: bool,
}

impl Limit {
    pub(super) const fn of(holders: NonZeroU32) -> Self {
        Self { holders, needs_head: false }
    }

    /// How many may hold one, as far as this member is concerned.
    pub(super) fn count(self) -> usize {
        let count = if self.needs_head { 1 } else { self.holders.get() };
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}
