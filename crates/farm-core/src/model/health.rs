//! How well a farm is: how many of its hosts run, and how many may be missing.
//!
//! **Invariant.** Every bound is compared and shown exactly: no percentage is
//! rounded, and no float is in it.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::numeric::Numeric;
use super::record::Record;

/// The largest number of hosts that a farm or a bound can have.
pub const HOSTS_MAX: u64 = 1_000_000_000;

/// More digits than this behind the point of a percentage say nothing.
const FRACTION_DIGITS_MAX: usize = 6;

/// A number of hosts, or a share of the farm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    text: String,
    bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Hosts(u64),
    /// `numerator` of `1 / divisor` per host.
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
    /// [`AllowanceError`] for everything else, and for what is far too large.
    pub fn parse(text: &str) -> Result<Self, AllowanceError> {
        let refused = || AllowanceError(text.to_owned());
        let bound = match text.strip_suffix('%') {
            Some(percentage) => share(percentage),
            None => whole(text).map(Bound::Hosts),
        };
        Ok(Self { text: text.to_owned(), bound: bound.ok_or_else(refused)? })
    }

    /// How many hosts of a farm of that size this is.
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

impl FromStr for Allowance {
    type Err = AllowanceError;

    fn from_str(text: &str) -> Result<Self, AllowanceError> {
        Self::parse(text)
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is neither a number of hosts nor a percentage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowanceError(String);

impl fmt::Display for AllowanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is neither a number of hosts, like 3, nor a percentage, like 10%", self.0)
    }
}

impl Error for AllowanceError {}

/// A number of hosts that need not be whole; shown as a decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hosts {
    numerator: u128,
    divisor: u128,
}

impl Hosts {
    const fn is_reached_by(self, hosts: u64) -> bool {
        hosts as u128 * self.divisor >= self.numerator
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.numerator / self.divisor)?;
        let mut rest = self.numerator % self.divisor;
        let mut point = ".";
        // Every divisor is a power of ten, so this comes to an end.
        while rest > 0 {
            write!(f, "{point}{}", rest * 10 / self.divisor)?;
            (rest, point) = (rest * 10 % self.divisor, "");
        }
        Ok(())
    }
}

/// The `size` that a farm's own record tells: the most hosts it has ever had. A
/// text that is a whole number counts as one.
///
/// # Errors
///
/// [`SizeError`] when it tells none, or something else.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeError {
    /// There is no such field.
    Absent,
    /// The field holds no possible number of hosts.
    NoNumber,
}

impl fmt::Display for SizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("its record has no field size"),
            Self::NoNumber => f.write_str("the field size of its record is no number of hosts"),
        }
    }
}

impl Error for SizeError {}

/// How many hosts a farm has and how many of them run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    size: u64,
    running: u64,
    failed: Vec<String>,
}

impl Health {
    /// Counts the hosts that are there; `size` is what the farm's record tells. A
    /// farm that has more hosts than that is as large as it looks.
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

    /// The most hosts the farm has ever had.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many hosts are there and well.
    #[must_use]
    pub const fn running(&self) -> u64 {
        self.running
    }

    /// How many are not: those that are there but not well, and those missing.
    #[must_use]
    pub const fn failing(&self) -> u64 {
        self.size - self.running
    }

    /// The hosts that are there but not well.
    #[must_use]
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// How many hosts are not there at all.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.failing().saturating_sub(u64::try_from(self.failed.len()).unwrap_or(u64::MAX))
    }
}

/// How many hosts may fail before somebody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// So many failing hosts are critical.
    pub critical: Allowance,
    /// So many are worth a warning.
    pub warning: Option<Allowance>,
    /// Fewer running hosts than this are critical.
    pub hosts_min: Option<u64>,
}

/// What a monitoring system is told about a farm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Ok,
    /// Somebody should look.
    Warning,
    /// Somebody has to act.
    Critical,
}

impl Verdict {
    /// Judges a farm. One without a failing host can only have too few of them.
    #[must_use]
    pub fn of(health: &Health, limits: &Limits) -> Self {
        let failing = health.failing();
        let reaches =
            |allowance: &Allowance| failing > 0 && allowance.of(health.size).is_reached_by(failing);
        let is_too_small = limits.hosts_min.is_some_and(|least| health.running < least);
        if is_too_small || reaches(&limits.critical) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn health(size: u64, running: usize, failed: usize) -> Health {
        let host = |number| format!("h{number:03}");
        Health::of(size, (0..running + failed).map(|number| (host(number), number < running)))
    }

    fn limits(critical: &str, warning: &str, hosts_min: Option<u64>) -> Limits {
        let warning = (!warning.is_empty()).then(|| Allowance::parse(warning).unwrap());
        Limits { critical: Allowance::parse(critical).unwrap(), warning, hosts_min }
    }

    #[test]
    fn allowances_are_exact() {
        for (text, size, hosts) in [
            ("10%", 17, "1.7"),
            ("10%", 20, "2"),
            ("0%", 20, "0"),
            ("33.3%", 3, "0.999"),
            ("0.1%", 3, "0.003"),
            (".5%", 100, "0.5"),
            ("5.%", 100, "5"),
            ("0.000001%", 1, "0.00000001"),
            ("250%", 2, "5"),
            ("1000000000%", HOSTS_MAX, "10000000000000000"),
            ("0", 17, "0"),
            ("03", 17, "3"),
            ("1000000000", 0, "1000000000"),
        ] {
            let allowance = Allowance::parse(text).unwrap();
            assert_eq!(allowance.of(size).to_string(), hosts, "{text} of {size}");
            assert_eq!(allowance.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_allowance_is_refused() {
        for text in [
            "",
            "%",
            ".%",
            "-1",
            "+1",
            "1.5",
            "1 %",
            " 1",
            "1e3",
            "1e3%",
            "ten",
            "1%%",
            "-5%",
            "٣",
            "1.2.3%",
            "0.0000001%",
            "1000000001",
            "99999999999999999999",
            "inf%",
            "nan",
        ] {
            let error = Allowance::parse(text).expect_err(text);
            assert!(error.to_string().starts_with(&format!("{text:?} ")), "{error}");
        }
    }

    #[test]
    fn the_size_is_a_whole_number_however_it_is_written() {
        for (size, wanted) in [
            (json!(17), Ok(17)),
            (json!("17"), Ok(17)),
            (json!(" 017 "), Ok(17)),
            (json!(17.0), Ok(17)),
            (json!("1e1"), Ok(10)),
            (json!(0), Ok(0)),
            (json!(null), Err(SizeError::Absent)),
            (json!(""), Err(SizeError::NoNumber)),
            (json!("many"), Err(SizeError::NoNumber)),
            (json!(-1), Err(SizeError::NoNumber)),
            (json!(1.5), Err(SizeError::NoNumber)),
            (json!("1e400"), Err(SizeError::NoNumber)),
            (json!(1_000_000_001), Err(SizeError::NoNumber)),
            (json!(true), Err(SizeError::NoNumber)),
            (json!([17]), Err(SizeError::NoNumber)),
            (json!({"a": 1}), Err(SizeError::NoNumber)),
        ] {
            let record = Record::from_map(json!({"size": size}).as_object().unwrap().clone());
            assert_eq!(farm_size(&record), wanted, "{size}");
        }
        assert_eq!(farm_size(&Record::new()), Err(SizeError::Absent));
    }

    #[test]
    fn health_counts_who_is_there_and_who_is_not() {
        // size told, running, failed: size, failing, missing
        for (told, running, failed, wanted) in [
            (17, 16, 0, (17, 1, 1)),
            (17, 14, 1, (17, 3, 2)),
            (2, 3, 0, (3, 0, 0)),
            (2, 2, 1, (3, 1, 0)),
            (0, 0, 0, (0, 0, 0)),
            (5, 0, 0, (5, 5, 5)),
        ] {
            let health = health(told, running, failed);
            let counted = (health.size(), health.failing(), health.missing());
            assert_eq!(counted, wanted, "{told} {running} {failed}");
            assert_eq!(health.failed().len(), failed);
            assert_eq!(health.running(), running as u64);
        }
    }

    #[test]
    fn the_verdict_follows_the_limits() {
        // size, running; critical, warning, hosts_min
        for (size, running, critical, warning, hosts_min, wanted) in [
            (17, 17, "10%", "", None, Verdict::Ok),
            (17, 16, "10%", "", None, Verdict::Ok),
            (17, 15, "10%", "", None, Verdict::Critical),
            (20, 18, "10%", "", None, Verdict::Critical),
            (20, 19, "10%", "", None, Verdict::Ok),
            (9, 8, "10%", "", None, Verdict::Critical),
            (10, 9, "10%", "", None, Verdict::Critical),
            (11, 10, "10%", "", None, Verdict::Ok),
            (3, 2, "33.3%", "", None, Verdict::Critical),
            (3, 2, "33.4%", "", None, Verdict::Ok),
            (17, 17, "0", "0", None, Verdict::Ok),
            (17, 16, "0", "", None, Verdict::Critical),
            (17, 16, "0%", "", None, Verdict::Critical),
            (17, 16, "2", "", None, Verdict::Ok),
            (17, 15, "2", "", None, Verdict::Critical),
            (0, 0, "10%", "0", None, Verdict::Ok),
            (5, 0, "100%", "", None, Verdict::Critical),
            (5, 0, "101%", "", None, Verdict::Ok),
            (17, 16, "10%", "1", None, Verdict::Warning),
            (17, 16, "10%", "5%", None, Verdict::Warning),
            (17, 16, "10%", "6%", None, Verdict::Ok),
            (17, 15, "10%", "1", None, Verdict::Critical),
            (17, 15, "50%", "0", None, Verdict::Warning),
            (3, 3, "10%", "", Some(3), Verdict::Ok),
            (3, 3, "10%", "", Some(4), Verdict::Critical),
            (0, 0, "10%", "", Some(1), Verdict::Critical),
            (0, 0, "10%", "", Some(0), Verdict::Ok),
        ] {
            let verdict =
                Verdict::of(&health(size, running, 0), &limits(critical, warning, hosts_min));
            assert_eq!(
                verdict, wanted,
                "{running}/{size} -c {critical} -w {warning:?} --min-hosts {hosts_min:?}"
            );
        }
    }
}
