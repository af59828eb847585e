//! The health of a farm: how many hosts run, and how many may be missing.
//!
//! **Invariant.** Bounds are compared and shown exactly: percentages are not rounded,
//! and no float is used.

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use super::numeric::Numeric;
use super::predicate::{Filter, FilterError};
use super::record::Record;

/// The largest number of hosts in a farm or a bound.
pub const HOSTS_MAX: u64 = 1_000_000_000;

/// The most digits after the point of a percentage.
const FRACTION_DIGITS_MAX: usize = 6;

/// A number of hosts, or a percentage of the farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    text: String,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Hosts(u64),
    /// `numerator / divisor` of the farm.
    Share {
        numerator: u64,
        divisor: u64,
    },
}

impl Allowance {
    /// Reads `3` or `12.5%`.
    ///
    /// # Errors
    ///
    /// [`AllowanceError`] for everything else, and for more than [`HOSTS_MAX`].
    pub fn parse(text: &str) -> Result<Self, AllowanceError> {
        let refused = || AllowanceError(text.to_owned());
        let bound = match text.strip_suffix('%') {
            Some(percentage) => share(percentage),
            None => whole(text).map(Bound::Hosts),
        };
        Ok(Self { text: text.to_owned(), bound: bound.ok_or_else(refused)? })
    }

    /// How many hosts this is in a farm of that size.
    #[must_use]
    pub const fn of(&self, size: u64) -> Hosts {
        match self.bound {
            Bound::Hosts(hosts) => Hosts { numerator: hosts as u128, divisor: 1 },
            Bound::Share { numerator, divisor } => {
                Hosts { numerator: numerator as u128 * size as u128, divisor: divisor as u128 }
            }
        }
    }
}

fn whole(digits: &str) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&number| is_plain && number <= HOSTS_MAX)
}

fn share(percentage: &str) -> Option<Bound> {
    let (before, after) = match percentage.split_once('.') {
        Some((before, after)) if after.len() <= FRACTION_DIGITS_MAX => (before, after),
        Some(_) => return None,
        None => (percentage, ""),
    };
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { whole(digits) };
    let scale = after.bytes().fold(1, |scale: u64, _| scale * 10);
    let numerator = number(before)? * scale + number(after)?;
    Some(Bound::Share { numerator, divisor: 100 * scale })
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is neither a number of hosts nor a percentage.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0:?} is neither a number of hosts, like 3, nor a percentage, like 10%")]
pub struct AllowanceError(String);

/// A number of hosts, maybe with a fraction; shown as a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    numerator: u128,
    divisor: u128,
}

impl Hosts {
    const fn is_reached_by(self, hosts: u64) -> bool {
        hosts as u128 * self.divisor >= self.numerator
    }

    /// Whether `hosts` is at most this number.
    #[must_use]
    pub const fn permits(self, hosts: u64) -> bool {
        hosts as u128 * self.divisor <= self.numerator
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.numerator / self.divisor)?;
        let mut rest = self.numerator % self.divisor;
        let mut point = ".";
        // Every divisor is a power of ten, so this ends.
        while rest > 0 {
            write!(f, "{point}{}", rest * 10 / self.divisor)?;
            (rest, point) = (rest * 10 % self.divisor, "");
        }
        Ok(())
    }
}

/// The `size` in a farm's own record: the highest number of hosts it has ever had. A
/// text that is a whole number counts as a number.
///
/// # Errors
///
/// [`SizeError`] if the record has no size, or one that is not a number of hosts.
pub fn farm_size(record: &Record) -> Result<u64, SizeError> {
    let number = match record.as_map().get("size") {
        None | Some(Value::Null) => return Err(SizeError::Absent),
        Some(Value::Number(size)) => Numeric::parse(size.as_str()),
        Some(Value::String(size)) => Numeric::parse(size.trim()),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    number.and_then(Numeric::whole).filter(|&size| size <= HOSTS_MAX).ok_or(SizeError::NoNumber)
}

/// Why the size of a farm is unknown.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum SizeError {
    /// The record has no such field.
    #[error("its record has no field size")]
    Absent,
    /// The field does not hold a number of hosts.
    #[error("the field size of its record is not a number of hosts")]
    NoNumber,
}

/// The filter in the field `running_filter` of a farm's own record. A host counts as
/// running only if it passes.
///
/// # Errors
///
/// [`RunningFilterError`] if the field holds anything else.
pub fn running_filter(record: &Record) -> Result<Option<Filter>, RunningFilterError> {
    match record.as_map().get("running_filter") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => {
            Filter::parse(text).map(Some).map_err(RunningFilterError::Filter)
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(RunningFilterError::NoText)
        }
    }
}

/// Why the hosts of a farm that run are unknown.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum RunningFilterError {
    /// The field does not hold a text.
    #[error("the field running_filter of its record is not a text")]
    NoText,
    /// The text is not a filter.
    #[error("the field running_filter of its record is not a filter")]
    Filter(#[source] FilterError),
}

/// How many hosts a farm has and how many of them run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    size: u64,
    running: u64,
    failed: Vec<String>,
}

impl Health {
    /// Counts the hosts that are present; `size` is the one of the farm's record. If
    /// more hosts are present, their number is the size.
    #[must_use]
    pub fn of(size: u64, hosts: impl IntoIterator<Item = (String, bool)>) -> Self {
        let (mut running, mut failed) = (0, Vec::new());
        for (name, is_running) in hosts {
            if is_running {
                running += 1;
            } else {
                failed.push(name);
            }
        }
        let present = running + u64::try_from(failed.len()).unwrap_or(u64::MAX);
        Self { size: size.max(present), running, failed }
    }

    /// The highest number of hosts that the farm has ever had.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many hosts are present and run.
    #[must_use]
    pub const fn running(&self) -> u64 {
        self.running
    }

    /// How many hosts are missing, or present but do not run.
    #[must_use]
    pub const fn failing(&self) -> u64 {
        self.size - self.running
    }

    /// The hosts that are present but do not run.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// How many hosts are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.failing().saturating_sub(u64::try_from(self.failed.len()).unwrap_or(u64::MAX))
    }
}

/// How many hosts may fail before the monitoring system alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// This many failing hosts, or more, are critical.
    pub critical: Option<Allowance>,
    /// This many failing hosts, or more, are a warning.
    pub warning: Option<Allowance>,
    /// Fewer running hosts than this are critical.
    pub hosts_min: Option<u64>,
}

/// The status of a farm for a monitoring system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Ok,
    /// An operator should look at it.
    Warning,
    /// An operator has to act.
    Critical,
}

impl Verdict {
    /// Judges a farm. If no host fails, only `hosts_min` can make it critical.
    #[must_use]
    pub fn of(health: &Health, limits: &Limits) -> Self {
        let failing = health.failing();
        let reaches =
            |allowance: &Allowance| failing > 0 && allowance.of(health.size).is_reached_by(failing);
        let is_too_small = limits.hosts_min.is_some_and(|least| health.running < least);
        if is_too_small || limits.critical.as_ref().is_some_and(reaches) {
            Self::Critical
        } else if limits.warning.as_ref().is_some_and(reaches) {
            Self::Warning
        } else {
            Self::Ok
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        })
    }
}
