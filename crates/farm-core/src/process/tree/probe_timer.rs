//! A few probes at growing intervals, for changes that nothing reports to us.
//!
//! One is the terminal of a child that starts: a shell gives it to a pipeline once per program,
//! and may do so for the last one when our child has it already. The other is the orphans: a
//! process that was being forked may have moved to a group of its own after all groups had the
//! stop signal.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(20);
const LAST: Duration = Duration::from_secs(2);

/// The time of the next probe.
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
    fn probes_are_few_and_ever_further_apart() {
        let start = Instant::now();
        let mut timer = ProbeTimer::begin(start);
        assert!(!timer.is_due(start));
        let mut probes = Vec::new();
        while let Some(at) = timer.deadline() {
            assert!(timer.is_due(at));
            probes.push((at - start).as_millis());
        }
        assert_eq!(probes, [20, 80, 260, 800, 2420]);
        assert!(!timer.is_due(start + Duration::from_secs(60)));
    }
}
