//! Filters, which choose hosts: `enabled=1,mysql.replication_delay<60`.

use std::cmp::Ordering;
use std::error::Error;
use std::fmt;

use serde_json::Value;

use super::field::{FieldPath, FieldPathError};
use super::numeric::Numeric;
use super::record::Record;

/// One condition on one field.
///
/// A field that is missing or null fulfils only [`Predicate::Absent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The field has a value of any kind.
    Present(FieldPath),
    /// The field has no value.
    Absent(FieldPath),
    /// The field holds a plain value, and comparing it with the text succeeds.
    Compares(FieldPath, Comparison, String),
}

/// The comparison of a field's value with the text of the predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=` or `==`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    const fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

impl Predicate {
    /// Whether the record fulfils it.
    #[must_use]
    pub fn holds(&self, record: &Record) -> bool {
        let value = |field| record.get(field).filter(|value| !value.is_null());
        match self {
            Self::Present(field) => value(field).is_some(),
            Self::Absent(field) => value(field).is_none(),
            Self::Compares(field, comparison, wanted) => value(field)
                .and_then(|value| compare(value, wanted))
                .is_some_and(|order| comparison.allows(order)),
        }
    }
}

/// `None` for objects and lists, which have no order.
fn compare(value: &Value, wanted: &str) -> Option<Ordering> {
    let text = match value {
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Number(number) => number.as_str(),
        Value::String(text) => text,
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(match (numeric(text), numeric(wanted)) {
        (Some(is), Some(wanted)) => is.compare(wanted),
        _ => text.cmp(wanted),
    })
}

/// `true` and `false` count as 1 and 0: some hosts publish the one, some the other.
fn numeric(text: &str) -> Option<Numeric> {
    match text {
        "true" => Some(Numeric::from(true)),
        "false" => Some(Numeric::from(false)),
        _ => Numeric::parse(text),
    }
}

/// Predicates that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Vec<Predicate>);

impl Filter {
    /// Reads predicates separated by commas.
    ///
    /// # Errors
    ///
    /// [`FilterError`], which points at the mistake.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut start = 0;
        let predicates = text.split(',').map(|part| {
            let predicate = Part { text: part, start }.predicate();
            start += part.len() + 1;
            predicate
        });
        let failed = |(at, fault)| FilterError { text: text.to_owned(), at, fault };
        predicates.collect::<Result<_, _>>().map(Self).map_err(failed)
    }

    /// Whether the record fulfils all predicates.
    #[must_use]
    pub fn keeps(&self, record: &Record) -> bool {
        self.0.iter().all(|predicate| predicate.holds(record))
    }
}

/// A mistake, and the byte of the filter where it starts.
type Fault = (usize, FilterFault);

/// A part of the filter's text, and where it starts.
#[derive(Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Part<'a> {
    fn split_at(self, at: usize) -> (Self, Self) {
        let (before, after) = self.text.split_at(at);
        (Self { text: before, ..self }, Self { text: after, start: self.start + at })
    }

    fn trim(self) -> Self {
        let text = self.text.trim_start();
        Self { start: self.start + self.text.len() - text.len(), text: text.trim_end() }
    }

    fn predicate(self) -> Result<Predicate, Fault> {
        let part = self.trim();
        if let Some(name) = part.text.strip_prefix('!')
            && !name.starts_with('=')
        {
            let (_, name) = part.split_at(1);
            if let Some(at) = name.text.find(OPERATOR_CHARS) {
                return Err((name.start + at, FilterFault::ComparedAbsence));
            }
            return name.field().map(Predicate::Absent);
        }
        let Some(at) = part.text.find(OPERATOR_CHARS) else {
            return part.field().map(Predicate::Present);
        };
        let (name, rest) = part.split_at(at);
        let field = name.field()?;
        let (comparison, value) = rest.comparison()?;
        let value = value.trim();
        if value.text.starts_with(['=', '<', '>']) {
            return Err((value.start, FilterFault::UnknownOperator));
        }
        Ok(Predicate::Compares(field, comparison, value.text.to_owned()))
    }

    /// Splits the operator off a part that starts with one of its characters.
    fn comparison(self) -> Result<(Comparison, Self), Fault> {
        const OPERATORS: [(&str, Comparison); 7] = [
            ("==", Comparison::Equal),
            ("=", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::AtMost),
            ("<", Comparison::Less),
            (">=", Comparison::AtLeast),
            (">", Comparison::Greater),
        ];
        let known = OPERATORS.iter().find(|(sign, _)| self.text.starts_with(sign));
        let (sign, comparison) = known.ok_or((self.start, FilterFault::UnknownOperator))?;
        Ok((*comparison, self.split_at(sign.len()).1))
    }

    fn field(self) -> Result<FieldPath, Fault> {
        let name = self.trim();
        FieldPath::parse(name.text).map_err(|error| {
            let chars_before = name.text.char_indices().nth(error.at());
            let at = name.start + chars_before.map_or(name.text.len(), |(byte, _)| byte);
            (at, FilterFault::Field(error))
        })
    }
}

/// `~` starts no operator, but a name with it would match no field: it is an error.
const OPERATOR_CHARS: [char; 5] = ['=', '!', '<', '>', '~'];

/// A filter that cannot be parsed. The message is one line about the mistake, then
/// the filter, then a caret under the wrong character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    at: usize,
    fault: FilterFault,
}

/// What is wrong with a filter.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum FilterFault {
    /// The field of a predicate cannot be parsed.
    #[error(transparent)]
    Field(FieldPathError),
    /// There is no such operator.
    #[error("unknown operator (known are = != < <= > >=)")]
    UnknownOperator,
    /// `!field` is combined with a comparison.
    #[error("an absent field cannot be compared")]
    ComparedAbsence,
}

impl FilterError {
    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> FilterFault {
        self.fault
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One column per character, or the caret would be under the wrong one.
        let shown: String = self.text.chars().map(shown_as_one_column).collect();
        let column = self.text[..self.at].chars().count();
        write!(f, "{}\n  {shown}\n  {:column$}^", self.fault, "")
    }
}

impl Error for FilterError {}

fn shown_as_one_column(c: char) -> char {
    let steers_the_text = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}');
    match c {
        '\t' | '\n' | '\r' => ' ',
        _ if c.is_control() || steers_the_text => '\u{fffd}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keeps(filter: &str, record: Value) -> bool {
        let record = Record::from_map(record.as_object().unwrap().clone());
        Filter::parse(filter).unwrap_or_else(|error| panic!("{error}")).keeps(&record)
    }

    #[test]
    fn each_operator_compares_as_its_sign_says() {
        for (operator, less, equal, greater) in [
            ("=", false, true, false),
            ("==", false, true, false),
            ("!=", true, false, true),
            ("<", true, false, false),
            ("<=", true, true, false),
            (">", false, false, true),
            (">=", false, true, true),
        ] {
            let filter = format!("a{operator}10");
            assert_eq!(keeps(&filter, json!({"a": 9})), less, "9 {filter}");
            assert_eq!(keeps(&filter, json!({"a": "10.0"})), equal, "10.0 {filter}");
            assert_eq!(keeps(&filter, json!({"a": "1e2"})), greater, "1e2 {filter}");
        }
    }

    #[test]
    fn missing_and_null_fail_every_comparison() {
        for operator in ["=", "==", "!=", "<", "<=", ">", ">="] {
            for value in ["", "0", "null", "x"] {
                let filter = format!("a{operator}{value}");
                assert!(!keeps(&filter, json!({"b": 1})), "{filter}");
                assert!(!keeps(&filter, json!({"a": null})), "{filter}");
                assert!(!keeps(&filter, json!({"a": {"b": 1}})), "{filter}");
                assert!(!keeps(&filter, json!({"a": {}})), "{filter}");
                assert!(!keeps(&filter, json!({"a": [1]})), "{filter}");
            }
        }
    }

    #[test]
    fn presence_means_any_value_but_null() {
        for (value, is_present) in [
            (json!({"a": {"b": ""}}), true),
            (json!({"a": {"b": false}}), true),
            (json!({"a": {"b": []}}), true),
            (json!({"a": {"b": {}}}), true),
            (json!({"a": {"b": null}}), false),
            (json!({"a": {}}), false),
            (json!({"a": "b"}), false),
            (json!({"a.b": 1}), false),
        ] {
            assert_eq!(keeps("a.b", value.clone()), is_present, "{value}");
            assert_eq!(keeps("!a.b", value.clone()), !is_present, "{value}");
            assert_eq!(keeps(" ! a.b ", value.clone()), !is_present, "{value}");
        }
        assert!(keeps(r"a\.b", json!({"a.b": 1})));
    }

    #[test]
    fn two_numbers_compare_as_numbers_and_all_else_as_text() {
        for (filter, value, wanted) in [
            ("a=7", json!("007"), true),
            ("a=007", json!(7), true),
            ("a<10", json!("9"), true),
            ("a<10", json!("9x"), false),
            ("a<9.5", json!("abc"), false),
            ("a>9.5", json!("abc"), true),
            ("a=1e3", json!(1000), true),
            ("a=", json!(""), true),
            ("a=", json!(0), false),
            ("a=inf", json!("inf"), true),
            ("a<inf", json!(1), true),
            ("a<b", json!("B"), true),
            ("a<é", json!("z"), true),
            ("a=9007199254740993", json!(9_007_199_254_740_992_i64), false),
            ("a=x y", json!("x y"), true),
            ("a= x ", json!(" x"), false),
            ("a=b=c<d", json!("b=c<d"), true),
            ("a=!x", json!("!x"), true),
        ] {
            assert_eq!(keeps(filter, json!({"a": value})), wanted, "{filter} of {value}");
        }
    }

    #[test]
    fn true_and_false_are_one_and_zero_on_both_sides() {
        for (filter, wanted) in
            [("a=true", true), ("a=1", true), ("a!=false", true), ("a=0", false)]
        {
            for value in [json!(true), json!(1), json!("1"), json!("true"), json!(1.0)] {
                assert_eq!(keeps(filter, json!({"a": value})), wanted, "{filter} of {value}");
            }
        }
        assert!(!keeps("a=true", json!({"a": "yes"})));
        assert!(!keeps("a=true", json!({"a": "True"})));
    }

    #[test]
    fn all_predicates_must_hold_and_blanks_do_not_matter() {
        let host = json!({"on": "1", "mysql": {"delay": 59}});
        assert!(keeps("on=1,mysql.delay<60", host.clone()));
        assert!(keeps("  on\t= 1 ,\n mysql.delay  <  60 , !gone", host.clone()));
        assert!(!keeps("on=1,mysql.delay<59", host.clone()));
        assert!(!keeps("on=0,mysql.delay<60", host));
    }

    #[test]
    fn the_caret_stands_under_the_character_at_fault() {
        for (filter, picture) in [
            ("", "a field name is missing\n  \n  ^"),
            ("a=1,", "a field name is missing\n  a=1,\n      ^"),
            ("a=1, ,b", "a field name is missing\n  a=1, ,b\n       ^"),
            ("é=ü,=2", "a field name is missing\n  é=ü,=2\n      ^"),
            ("\té..b=1", "a field name is missing\n   é..b=1\n     ^"),
            ("!", "a field name is missing\n  !\n   ^"),
            ("!=x", "a field name is missing\n  !=x\n  ^"),
            (
                "a\u{1b}\u{202e}=1,b!c",
                "unknown operator (known are = != < <= > >=)\n  a\u{fffd}\u{fffd}=1,b!c\n         ^",
            ),
            ("a=>1", "unknown operator (known are = != < <= > >=)\n  a=>1\n    ^"),
            ("a === 1", "unknown operator (known are = != < <= > >=)\n  a === 1\n      ^"),
            ("a~x", "unknown operator (known are = != < <= > >=)\n  a~x\n   ^"),
            ("!a = 1", "an absent field cannot be compared\n  !a = 1\n     ^"),
        ] {
            let error = Filter::parse(filter).expect_err(filter);
            assert_eq!(error.to_string(), picture, "{filter:?}");
        }
        let error = Filter::parse(r"a,é\x=1").expect_err("an unknown escape");
        assert!(error.to_string().ends_with("\n  a,é\\x=1\n     ^"), "{error}");
    }
}
