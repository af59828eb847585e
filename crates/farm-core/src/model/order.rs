//! The order of values in lists that people read.
//!
//! **Invariant.** The order is total for all values that hosts can publish: numbers
//! first, then texts, then objects and lists, then missing values.

use std::cmp::Ordering;

use serde_json::Value;

use super::numeric::Numeric;

/// The position of a value among others; a text that is a number sorts as a number.
#[derive(Debug, Clone)]
pub struct Rank(SortKey);

#[derive(Debug, Clone)]
enum SortKey {
    Number(f64, i128),
    Text(String),
    Composite(String),
    Missing,
}

impl Rank {
    /// The rank of a field's value; null counts as missing.
    #[must_use]
    pub fn of(value: Option<&Value>) -> Self {
        let number = |numeric: Numeric| {
            let (float, integer) = numeric.rank();
            SortKey::Number(float, integer)
        };
        Self(match value {
            None | Some(Value::Null) => SortKey::Missing,
            Some(Value::Bool(flag)) => number(Numeric::from(*flag)),
            Some(Value::Number(digits)) => {
                Numeric::parse(digits.as_str()).map_or(SortKey::Missing, number)
            }
            Some(Value::String(text)) => {
                Numeric::parse(text).map_or_else(|| SortKey::Text(text.clone()), number)
            }
            Some(composite @ (Value::Array(_) | Value::Object(_))) => {
                SortKey::Composite(composite.to_string())
            }
        })
    }
}

impl SortKey {
    const fn class(&self) -> u8 {
        match self {
            Self::Number(..) => 0,
            Self::Text(_) => 1,
            Self::Composite(_) => 2,
            Self::Missing => 3,
        }
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (SortKey::Number(a, exactly_a), SortKey::Number(b, exactly_b)) => {
                a.total_cmp(b).then(exactly_a.cmp(exactly_b))
            }
            (SortKey::Text(a), SortKey::Text(b))
            | (SortKey::Composite(a), SortKey::Composite(b)) => a.cmp(b),
            (a, b) => a.class().cmp(&b.class()),
        }
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Rank {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_before_texts_and_what_is_missing_is_last() {
        let sorted = [
            Some(json!("-1e400")),
            Some(json!(-3)),
            Some(json!(false)),
            Some(json!("1")),
            Some(json!(2.5)),
            Some(json!("9")),
            Some(json!("010")),
            Some(json!(9_007_199_254_740_992_u64)),
            Some(json!(9_007_199_254_740_993_u64)),
            Some(json!("1e400")),
            Some(json!("")),
            Some(json!("10x")),
            Some(json!("a")),
            Some(json!([1])),
            Some(json!({"a": 1})),
            None,
        ];
        for (low, a) in sorted.iter().enumerate() {
            for (high, b) in sorted.iter().enumerate() {
                let order = Rank::of(a.as_ref()).cmp(&Rank::of(b.as_ref()));
                assert_eq!(order, low.cmp(&high), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn what_reads_the_same_ranks_the_same() {
        for (a, b) in [
            (json!(7), json!("007")),
            (json!(1), json!(true)),
            (json!("1e3"), json!(1000)),
            (json!(0), json!("-0.0")),
            (json!("-0"), json!("0.0")),
        ] {
            assert_eq!(Rank::of(Some(&a)), Rank::of(Some(&b)), "{a} {b}");
        }
        assert_eq!(Rank::of(Some(&json!(null))), Rank::of(None));
    }

    #[test]
    fn the_order_is_total_for_any_three() {
        let values: Vec<_> = [
            "9007199254740992",
            "9007199254740992.5",
            "9007199254740993",
            "9.007199254740993e15",
            "1e39",
            "1e38",
            "-1e39",
            "0.5",
            "-0.5",
            "0",
            "-0",
            "-0.0",
            "170141183460469231731687303715884105727",
            "1.7014118346046923e38",
            "x",
            "",
        ]
        .map(|text| Rank::of(Some(&json!(text))))
        .into();
        for a in &values {
            for b in &values {
                assert_eq!(a.cmp(b), b.cmp(a).reverse());
                for c in &values {
                    if a <= b && b <= c {
                        assert!(a <= c, "{a:?} {b:?} {c:?}");
                    }
                }
            }
        }
    }
}
