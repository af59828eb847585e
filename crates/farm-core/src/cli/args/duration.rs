//! Durations on the command line.

use std::time::Duration;

/// The longest duration that we accept: adding it to a clock cannot overflow.
const DURATION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The shortest interval: a shorter one would keep the machine busy.
const INTERVAL_LEAST: Duration = Duration::from_millis(10);

const UNITS: [(&str, f64); 5] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)];

/// Reads `250ms`, `30s`, `5m`, `1.5h`, `2d`; a bare number is seconds.
///
/// # Errors
///
/// When the text is not a number with one of these units, or too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let refuse = |fault| Err(DurationError { text: text.to_owned(), fault });
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &trimmed[digits.len()..];
    if digits.is_empty() {
        return refuse(DurationFault::Number);
    }
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1.0,
        None => return refuse(DurationFault::Unit),
    };
    // `f64` would also accept signs and exponents.
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return refuse(DurationFault::Number);
    }
    let Ok(number) = digits.parse::<f64>() else { return refuse(DurationFault::Number) };
    match Duration::try_from_secs_f64(number * factor) {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        Ok(_) | Err(_) => refuse(DurationFault::TooLong),
    }
}

/// Reads a time limit, where 0 means no limit.
///
/// # Errors
///
/// Those of [`parse_duration`].
pub fn parse_limit(text: &str) -> Result<Duration, DurationError> {
    parse_duration(text).map(|limit| if limit.is_zero() { DURATION_MAX } else { limit })
}

/// Reads a duration that has to be at least 10 ms: an interval, or a time in which
/// something has to be done.
///
/// # Errors
///
/// Those of [`parse_duration`], and when the duration is shorter.
pub fn parse_interval(text: &str) -> Result<Duration, DurationError> {
    let interval = parse_duration(text)?;
    if interval < INTERVAL_LEAST {
        return Err(DurationError { text: text.to_owned(), fault: DurationFault::TooShort });
    }
    Ok(interval)
}

/// The text is not a duration.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{text:?} is no duration: {fault}")]
pub struct DurationError {
    text: String,
    fault: DurationFault,
}

#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
enum DurationFault {
    #[error("it must start with a number, like 250ms, 30s or 5m")]
    Number,
    #[error("the unit must be one of ms, s, m, h, d")]
    Unit,
    #[error("at most ten years are possible")]
    TooLong,
    #[error("here it must be at least {INTERVAL_LEAST:?}")]
    TooShort,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_units_fractions_and_bare_seconds() {
        let table = [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1.5h", 5_400_000),
            ("1d", 86_400_000),
            ("30", 30_000),
            ("0.1", 100),
            (".5s", 500),
            ("0", 0),
            (" 2s ", 2_000),
            ("0.5ms", 0),
        ];
        for (text, milliseconds) in table {
            assert_eq!(parse_duration(text).unwrap().as_millis(), milliseconds, "{text:?}");
        }
        assert_eq!(parse_duration("0.5ms").unwrap(), Duration::from_micros(500));
    }

    #[test]
    fn a_limit_of_zero_is_none_and_an_interval_of_zero_is_refused() {
        for (text, limit) in [("0", DURATION_MAX), ("0ms", DURATION_MAX)] {
            assert_eq!(parse_limit(text), Ok(limit), "{text}");
        }
        assert_eq!(parse_limit("0.5ms"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_interval("10ms"), Ok(INTERVAL_LEAST));
        for text in ["0", "0s", "9ms", "0.5ms"] {
            let error = parse_interval(text).unwrap_err().to_string();
            assert_eq!(error, format!("{text:?} is no duration: here it must be at least 10ms"));
        }
        for text in ["", "x", "-1", "4000d"] {
            assert_eq!(parse_limit(text), parse_duration(text));
            assert_eq!(parse_interval(text), parse_duration(text));
        }
    }

    #[test]
    fn errors_name_the_text() {
        for text in [
            "", "s", "ms", "-1", "+1", "1e3", "1.2.3", "1 s", "1S", "5min", "nan", "inf", "0x10",
            "١s", "1s2", ".",
        ] {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
        for text in ["4000d", &"9".repeat(400)] {
            assert_eq!(parse_duration(text).unwrap_err().fault, DurationFault::TooLong, "{text}");
        }
    }
}
