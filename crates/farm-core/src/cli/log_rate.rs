//! How many lines one place in the code may log.
//!
//! Whoever may edit a znode or a config can make something happen as fast as a tool can work, and
//! each time is worth a line. Pure: the time goes in. **Invariant.** A place logs at most
//! [`LINES_MAX`] lines at once, and [`REFILL_PER_SECOND`] in the long run; what is left out is
//! counted, and told within [`MUTED_FOR`].

use log::{Level, Record};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many lines a place may log at once: enough to name the hosts or fields of one bad day.
pub(super) const LINES_MAX: u32 = 500;
const REFILL_PER_SECOND: f64 = 1.0;
/// How long a place is silent that has used up its lines.
const MUTED_FOR: Duration = Duration::from_secs(60);
/// How much is shown of a line that was left out.
const EXAMPLE_CHARS_MAX: usize = 200;

/// The lines of this module hold values that were overruled and are nowhere else. They cannot
/// outnumber the edits that they are about.
const UNLIMITED: &str = "zkjoin::warnings";

/// A place in the code.
type Place = (&'static str, u32);

/// The lines of a place that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    pub(super) target: String,
    pub(super) count: u64,
    /// The first of them.
    pub(super) example: String,
}

#[derive(Debug)]
struct Budget {
    lines: f64,
    refilled: Instant,
    /// What is left out, and until when.
    muted: Option<(Instant, LeftOut)>,
}

impl Budget {
    fn take_line(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.lines = (self.lines + passed * REFILL_PER_SECOND).min(f64::from(LINES_MAX));
        self.refilled = now;
        let may_log = self.lines >= 1.0;
        if may_log {
            self.lines -= 1.0;
        }
        may_log
    }
}

/// The budgets of all places.
#[derive(Debug)]
pub(super) struct LogRate(BTreeMap<Place, Budget>);

impl LogRate {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether the record may be logged now; `text` is called for the first that may not.
    pub(super) fn admits(
        &mut self,
        now: Instant,
        record: &Record<'_>,
        text: impl FnOnce() -> String,
    ) -> bool {
        // Whoever asks for more lines than the usual ones gets them all.
        if record.level() > Level::Info || record.target() == UNLIMITED {
            return true;
        }
        let place = (record.file_static().unwrap_or_default(), record.line().unwrap_or_default());
        let full = Budget { lines: f64::from(LINES_MAX), refilled: now, muted: None };
        let budget = self.0.entry(place).or_insert(full);
        if let Some((_, left_out)) = &mut budget.muted {
            left_out.count += 1;
            return false;
        }
        if budget.take_line(now) {
            return true;
        }
        let left_out = LeftOut {
            level: record.level(),
            target: record.target().to_owned(),
            count: 1,
            example: text().chars().take(EXAMPLE_CHARS_MAX).collect(),
        };
        budget.muted = Some((now + MUTED_FOR, left_out));
        false
    }

    /// When [`LogRate::take`] has something to tell.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|budget| budget.muted.as_ref().map(|(until, _)| *until)).min()
    }

    /// What was left out by the places that may log again by `now`.
    pub(super) fn take(&mut self, now: Instant) -> Vec<LeftOut> {
        let muted = self.0.values_mut().map(|budget| &mut budget.muted);
        muted.filter_map(|muted| Some(muted.take_if(|(until, _)| *until <= now)?.1)).collect()
    }

    /// What was left out by all places.
    pub(super) fn take_all(&mut self) -> Vec<LeftOut> {
        self.0.values_mut().filter_map(|budget| Some(budget.muted.take()?.1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(rate: &mut LogRate, now: Instant, level: Level, target: &str, line: u32) -> bool {
        let mut record = Record::builder();
        record.level(level).target(target).file_static(Some("here.rs")).line(Some(line));
        rate.admits(now, &record.build(), || format!("line {line}"))
    }

    fn flood(rate: &mut LogRate, now: Instant, line: u32, count: usize) -> usize {
        (0..count).filter(|_| admits(rate, now, Level::Warn, "zkjoin", line)).count()
    }

    #[test]
    fn a_flood_is_cut_off_and_counted_and_other_places_log_on() {
        let mut rate = LogRate::new();
        let start = Instant::now();
        let most = LINES_MAX as usize;
        assert_eq!(flood(&mut rate, start, 1, most), most);
        assert_eq!((rate.deadline(), rate.take(start + MUTED_FOR)), (None, Vec::new()));
        assert_eq!(flood(&mut rate, start, 1, 10_000), 0);
        assert_eq!(flood(&mut rate, start, 2, 1), 1, "another place");
        assert_eq!(rate.deadline(), Some(start + MUTED_FOR));
        // It stays silent for a while, so that its lines are not told of one by one.
        assert_eq!(flood(&mut rate, start + MUTED_FOR / 2, 1, 5), 0);
        assert_eq!(rate.take(start + MUTED_FOR / 2), []);
        let left_out = rate.take(start + MUTED_FOR);
        assert_eq!(left_out.len(), 1);
        assert_eq!((left_out[0].count, left_out[0].example.as_str()), (10_005, "line 1"));
        assert_eq!((left_out[0].level, left_out[0].target.as_str()), (Level::Warn, "zkjoin"));
        let again = flood(&mut rate, start + MUTED_FOR, 1, 10_000);
        assert!(again > 20 && again <= 60, "{again}");
    }

    #[test]
    fn a_flood_that_goes_on_has_a_line_a_second_on_average() {
        let mut rate = LogRate::new();
        let start = Instant::now();
        let (mut logged, mut told) = (0, 0);
        for tick in 0..36_000_u32 {
            let now = start + Duration::from_millis(100) * tick;
            logged += flood(&mut rate, now, 1, 10);
            told += rate.take(now).len();
        }
        assert!(logged <= LINES_MAX as usize + 3600, "{logged}");
        assert!((50..=60).contains(&told), "{told}");
        assert_eq!(rate.take_all().len(), 1);
        assert_eq!((rate.take_all(), rate.deadline()), (Vec::new(), None));
    }

    #[test]
    fn after_a_pause_a_place_has_all_its_lines() {
        let mut rate = LogRate::new();
        let start = Instant::now();
        let most = LINES_MAX as usize;
        assert_eq!(flood(&mut rate, start, 1, most), most);
        let later = start + Duration::from_secs(100_000);
        assert_eq!(flood(&mut rate, later, 1, most + 1), most);
        // A clock that goes back takes nothing away.
        assert_eq!(flood(&mut rate, start, 2, 1), 1);
    }

    #[test]
    fn what_was_asked_for_and_what_is_nowhere_else_is_never_left_out() {
        let mut rate = LogRate::new();
        let now = Instant::now();
        for (level, target) in [
            (Level::Debug, "zkjoin"),
            (Level::Trace, "farm_core::session"),
            (Level::Warn, UNLIMITED),
        ] {
            assert!((0..LINES_MAX * 3).all(|_| admits(&mut rate, now, level, target, 1)));
        }
    }
}
