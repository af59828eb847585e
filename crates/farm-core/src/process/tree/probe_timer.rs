//! A few looks at what nothing tells us of, ever more seldom, and no more.
//!
//! At a child that starts at a terminal: a shell gives that to a pipeline once for every
//! program in it, and the last of these may come when our child has it already. At what a
//! child has left behind: one that was just being forked may have gone to a group of its own
//! after all groups were asked to end.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(2);

/// When to look.
#[derive(Debug)]
pub(super) struct ProbeTimer {
    next: Option<(Instant, Duration)>,
}

impl ProbeTimer {
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
        let mut timer = ProbeTimer::begin(start);
        assert!(!timer.is_due(start));
        let mut looks = Vec::new();
        while let Some(at) = timer.deadline() {
            assert!(timer.is_due(at));
            looks.push((at - start).as_millis());
        }
        assert_eq!(looks, [20, 80, 260, 800, 2420]);
        assert!(!timer.is_due(start + Duration::from_secs(60)));
    }
}
