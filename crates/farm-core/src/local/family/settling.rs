//! The first moments of a child at a terminal.
//!
//! A shell that starts a pipeline gives the terminal to it once for every program in it. The
//! last of these may come when our child has it already, and nothing tells us. So we look a
//! few times, ever more seldom, and no more.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(2);

/// When to look whether the terminal is still the child's.
#[derive(Debug)]
pub(super) struct Settling {
    next: Option<(Instant, Duration)>,
}

impl Settling {
    pub(super) const fn none() -> Self {
        Self { next: None }
    }

    pub(super) fn begin(now: Instant) -> Self {
        Self { next: Some((now + FIRST, FIRST)) }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let Some((_, pause)) = self.next.filter(|(at, _)| *at <= now) else { return false };
        let longer = pause * 3;
        self.next = (longer <= LAST).then(|| (now + longer, longer));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_a_few_looks_ever_more_seldom() {
        let start = Instant::now();
        let mut settling = Settling::begin(start);
        assert!(!settling.is_due(start));
        let mut looks = Vec::new();
        while let Some(at) = settling.deadline() {
            assert!(settling.is_due(at));
            looks.push((at - start).as_millis());
        }
        assert_eq!(looks, [20, 80, 260, 800, 2420]);
        assert!(!settling.is_due(start + Duration::from_secs(60)));
    }
}
