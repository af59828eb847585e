//! The hours at which the child may be stopped, in local time.
//!
//! **Invariant.** Only the local weekday and hour count. So an hour that a change of the clocks
//! repeats is open twice, and one that it skips never opens.

#[cfg(test)]
mod tests;

use super::zone::Zone;
use jiff::{SignedDuration, Timestamp};
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

const HOURS_A_DAY: u32 = 24;
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The length of the short form of a day.
const DAY_LETTERS: usize = 3;

/// The longest time until the clock is read again: somebody may have set it, or the machine may
/// have slept.
const LOOK_AGAIN_MOST: Duration = Duration::from_secs(60);
/// The shortest time, so that a wait that ends a little early does not become many.
const LOOK_AGAIN_LEAST: Duration = Duration::from_millis(1);

/// A week has 168 hours. A zone may skip a whole day, and changes of its clocks add steps.
const STEPS_MAX: usize = 2 * 168 + 32;

/// The allowed hours of a week.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHours {
    /// One bit per hour, for each day from Monday on.
    open: [u32; 7],
}

impl AllowedHours {
    /// Parses ranges of hours and days, separated by commas: `22-6,Sat,Sun`. The allowed hours are
    /// the union of the items. `22-6` spans midnight, `0-24` is the whole day, and `Mon-Fri` is a
    /// range of days.
    ///
    /// # Errors
    ///
    /// [`HoursError`], with the item and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, HoursError> {
        let mut open = [0; 7];
        for item in text.split(',').map(str::trim) {
            let refused = |fault| HoursError { item: item.to_owned(), fault };
            if item.starts_with(|c: char| c.is_ascii_digit()) {
                let hours = hours(item).map_err(refused)?;
                open.iter_mut().for_each(|day| *day |= hours);
            } else {
                for day in days(item).map_err(refused)? {
                    open[day] = ALL_DAY;
                }
            }
        }
        Ok(Self { open })
    }

    const fn holds(&self, day: usize, hour: u32) -> bool {
        self.open[day] & 1 << hour != 0
    }
}

const ALL_DAY: u32 = (1 << HOURS_A_DAY) - 1;

/// One bit for each hour of a range.
fn hours(item: &str) -> Result<u32, HoursFault> {
    let Some((from, to)) = item.split_once('-') else { return Err(HoursFault::NoRange) };
    let (from, to) = (hour(from)?, hour(to)?);
    if from == HOURS_A_DAY {
        return Err(HoursFault::Start);
    }
    if from == to {
        return Err(HoursFault::Nothing);
    }
    let before = |hour: u32| (1 << hour) - 1;
    Ok(if from < to { before(to) & !before(from) } else { before(to) | ALL_DAY & !before(from) })
}

fn hour(text: &str) -> Result<u32, HoursFault> {
    let text = text.trim();
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let hour = text.parse().ok().filter(|&hour| is_plain && hour <= HOURS_A_DAY);
    hour.ok_or_else(|| HoursFault::NoHour(text.to_owned()))
}

/// The days of a range, or a single day.
fn days(item: &str) -> Result<Vec<usize>, HoursFault> {
    if item.is_empty() {
        return Err(HoursFault::Empty);
    }
    let Some((first, last)) = item.split_once('-') else { return Ok(vec![day(item)?]) };
    let (first, last) = (day(first)?, day(last)?);
    let count = (last + DAYS.len() - first) % DAYS.len();
    Ok((first..=first + count).map(|day| day % DAYS.len()).collect())
}

fn day(text: &str) -> Result<usize, HoursFault> {
    let text = text.trim();
    let is_named = |day: &str| {
        text.eq_ignore_ascii_case(day) || text.eq_ignore_ascii_case(&day[..DAY_LETTERS])
    };
    let found = DAYS.iter().position(|day| is_named(day));
    found.ok_or_else(|| HoursFault::NoDay(text.to_owned()))
}

/// Why one of the items is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoursError {
    item: String,
    fault: HoursFault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HoursFault {
    Empty,
    NoRange,
    NoHour(String),
    Start,
    Nothing,
    NoDay(String),
}

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let item = &self.item;
        match &self.fault {
            HoursFault::Empty => {
                f.write_str("a range of hours, like 22-6, or a day, like Sat, is missing")
            }
            HoursFault::NoRange => {
                write!(
                    f,
                    "{item:?} is not a range of hours: it needs a start and an end, like 22-6"
                )
            }
            HoursFault::NoHour(text) => {
                write!(f, "{text:?} in {item:?} is not an hour: use 0 to 24, without minutes")
            }
            HoursFault::Start => write!(f, "{item:?} starts at 24: use 0 for midnight"),
            HoursFault::Nothing => write!(f, "{item:?} is empty: use 0-24 for the whole day"),
            HoursFault::NoDay(text) => {
                write!(f, "{text:?} is not a day: use Mon, Tue, Wed, Thu, Fri, Sat or Sun")
            }
        }
    }
}

impl Error for HoursError {}

/// The allowed hours, in the local time of a zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    hours: AllowedHours,
    zone: Zone,
}

impl Schedule {
    /// These hours, in the local time of the zone.
    #[must_use]
    pub const fn new(hours: AllowedHours, zone: Zone) -> Self {
        Self { hours, zone }
    }

    /// Whether the time is within the allowed hours. A time beyond the calendar never is.
    #[must_use]
    pub fn is_open(&self, now: SystemTime) -> bool {
        Timestamp::try_from(now).is_ok_and(|now| self.is_open_at(now))
    }

    fn is_open_at(&self, at: Timestamp) -> bool {
        let local = self.zone.local(at);
        let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
        self.hours.holds(day, u32::from(local.hour().unsigned_abs()))
    }

    /// When [`Schedule::is_open`] changes next; `None` if it never does.
    #[must_use]
    pub fn next_change(&self, now: SystemTime) -> Option<SystemTime> {
        let mut at = Timestamp::try_from(now).ok()?;
        let is_open = self.is_open_at(at);
        for _ in 0..STEPS_MAX {
            at = self.next_step(at)?;
            if self.is_open_at(at) != is_open {
                return Some(at.into());
            }
        }
        None
    }

    /// The next time at which the local hour changes: at its end, or when the clocks change.
    fn next_step(&self, at: Timestamp) -> Option<Timestamp> {
        let local = self.zone.local(at);
        let past = i64::from(local.minute()) * 60 + i64::from(local.second());
        let nanoseconds = i64::from(local.subsec_nanosecond());
        let left = SignedDuration::from_secs(3600 - past) - SignedDuration::from_nanos(nanoseconds);
        let hour_end = at.checked_add(left).ok()?;
        Some(self.zone.next_transition(at).map_or(hour_end, |change| change.min(hour_end)))
    }

    /// How long to wait at most before the next look at the clock, even without a change: the
    /// clock can be set, and the machine can sleep.
    #[must_use]
    pub fn look_again(&self, now: SystemTime) -> Duration {
        let change = self.next_change(now).and_then(|at| at.duration_since(now).ok());
        change.unwrap_or(LOOK_AGAIN_MOST).clamp(LOOK_AGAIN_LEAST, LOOK_AGAIN_MOST)
    }
}
