//! Texts that are numbers, compared as numbers.

use std::cmp::Ordering;

/// A decimal number: exact if it is an integer of 128 bits, else rounded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numeric {
    Integer(i128),
    Rounded(f64),
}

impl Numeric {
    /// Reads digits with an optional sign, point and exponent; nothing else is a number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let starts = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.');
        if !text.starts_with(starts) {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        // f64 also parses names such as infinity; here these are text.
        let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        if !text.chars().all(is_plain) {
            return None;
        }
        text.parse().ok().map(Self::Rounded)
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // `parse` never returns NaN, so there is always an order.
            (a, b) => a.rounded().partial_cmp(&b.rounded()).unwrap_or(Ordering::Equal),
        }
    }

    /// The number, if it is whole and not negative.
    pub(super) fn whole(self) -> Option<u64> {
        match self {
            Self::Integer(integer) => u64::try_from(integer).ok(),
            Self::Rounded(float) => exact(float).and_then(|integer| u64::try_from(integer).ok()),
        }
    }

    /// The number as a float, and as an integer if it is exactly one: a key for
    /// sorting, float first, in which the two never contradict each other.
    pub(super) fn rank(self) -> (f64, i128) {
        match self {
            Self::Integer(integer) => (self.rounded(), integer),
            // Negative zero sorts as zero.
            Self::Rounded(float) => (float + 0.0, exact(float).unwrap_or_default()),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a mixed comparison is a rounded one")]
    const fn rounded(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Rounded(float) => float,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float without fraction, and in range")]
fn exact(float: f64) -> Option<i128> {
    const FLOAT_MAX: f64 = 1e38;
    (float.fract() == 0.0 && float.abs() < FLOAT_MAX).then_some(float as i128)
}

impl From<bool> for Numeric {
    fn from(value: bool) -> Self {
        Self::Integer(i128::from(value))
    }
}

impl From<usize> for Numeric {
    fn from(value: usize) -> Self {
        Self::Integer(i128::try_from(value).unwrap_or(i128::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        for text in ["7", "007", "-1", "+1", "9.5", ".5", "5.", "1e3", "1E-3", "1e400", "-0"] {
            assert!(Numeric::parse(text).is_some(), "{text}");
        }
        for text in [
            "", "-", ".", "e3", "1e", "0x10", "1_000", "inf", "-inf", "+nan", "NaN", "1 ", " 1",
            "1.2.3", "1-2", "٣", "infinity", "--1",
        ] {
            assert!(Numeric::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn integers_are_compared_exactly() {
        for (small, great) in [
            ("9007199254740992", "9007199254740993"),
            ("-170141183460469231731687303715884105728", "170141183460469231731687303715884105727"),
            ("9", "10"),
            ("9.5", "10"),
            ("-1e3", "1e-3"),
            ("1e308", "1e309"),
        ] {
            let (a, b) = (Numeric::parse(small).unwrap(), Numeric::parse(great).unwrap());
            assert_eq!(a.compare(b), Ordering::Less, "{small} {great}");
            assert_eq!(b.compare(a), Ordering::Greater, "{great} {small}");
        }
        for (a, b) in [("7", "007"), ("1000", "1e3"), ("-0", "0"), ("1.0", "1"), ("0", "-0.0")] {
            let (a, b) = (Numeric::parse(a).unwrap(), Numeric::parse(b).unwrap());
            assert_eq!(a.compare(b), Ordering::Equal, "{a:?} {b:?}");
        }
    }
}
