//! `FIELD=TEXT` and `FIELD:=JSON`, applied to a record.
//!
//! **Invariant.** An assignment replaces one plain value, or (`:=`) a whole object or
//! list with another one. It loses nothing else.

use std::fmt;

use serde_json::{Number, Value};

use super::field::{FieldPath, FieldPathError};
use super::record::{Record, SetError};

/// One field and its new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    field: FieldPath,
    value: NewValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum NewValue {
    Text(String),
    Typed(Value),
}

impl Assignment {
    /// Assigns a text; a number or bool keeps its type if the text is one too.
    #[must_use]
    pub const fn text(field: FieldPath, text: String) -> Self {
        Self { field, value: NewValue::Text(text) }
    }

    /// Assigns a value as it is.
    #[must_use]
    pub const fn typed(field: FieldPath, value: Value) -> Self {
        Self { field, value: NewValue::Typed(value) }
    }

    /// Reads `FIELD=TEXT` or `FIELD:=JSON`.
    ///
    /// # Errors
    ///
    /// [`AssignmentError`] for any other text.
    pub fn parse(word: &str) -> Result<Self, AssignmentError> {
        let named = |name: &str| {
            let wrong = |source| AssignmentError::Field { name: name.to_owned(), source };
            FieldPath::parse(name).map_err(wrong)
        };
        let Some((name, text)) = word.split_once('=') else {
            return Err(AssignmentError::NoSign { word: word.to_owned() });
        };
        let Some(name) = name.strip_suffix(':') else {
            return Ok(Self::text(named(name)?, text.to_owned()));
        };
        let value = serde_json::from_str(text)
            .map_err(|source| AssignmentError::Json { name: name.to_owned(), source })?;
        Ok(Self::typed(named(name)?, value))
    }

    /// The field to set.
    #[must_use]
    pub const fn field(&self) -> &FieldPath {
        &self.field
    }

    /// The text, if its type depends on the record.
    #[must_use]
    pub const fn as_text(&self) -> Option<&str> {
        match &self.value {
            NewValue::Text(text) => Some(text.as_str()),
            NewValue::Typed(_) => None,
        }
    }

    /// Sets the field. A text becomes a string, unless the field holds a number or
    /// bool and the text is one too. Returns [`Retyped`] if such a field became a
    /// string.
    ///
    /// # Errors
    ///
    /// [`SetError`] if more than one plain value would be lost; the record is then
    /// unchanged, or lacks an object or list that was to be replaced.
    pub fn apply(&self, record: &mut Record) -> Result<Option<Retyped>, SetError> {
        let Self { field, value } = self;
        let present = record.get(field);
        let (value, was) = match value {
            NewValue::Typed(value) => {
                if present.is_some_and(|present| is_same_container(present, value)) {
                    record.unset(field);
                }
                (value.clone(), None)
            }
            NewValue::Text(text) => typed_like(present, text),
        };
        record.set(field, value)?;
        Ok(was.map(|was| Retyped { field: field.clone(), was }))
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            NewValue::Text(text) => write!(f, "{}={text}", self.field),
            NewValue::Typed(value) => write!(f, "{}:={value}", self.field),
        }
    }
}

/// A number or bool became a string, because the text is neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retyped {
    /// The field.
    pub field: FieldPath,
    /// The name of its old type.
    pub was: &'static str,
}

fn is_same_container(present: &Value, value: &Value) -> bool {
    present.is_object() && value.is_object() || present.is_array() && value.is_array()
}

/// Turns the text into a value of the type that the field has now; if that fails,
/// into a string, together with the name of the type.
fn typed_like(present: Option<&Value>, text: &str) -> (Value, Option<&'static str>) {
    let typed = match present {
        Some(Value::Number(_)) => number_from(text).ok_or("number"),
        Some(Value::Bool(_)) => bool_from(text).ok_or("bool"),
        Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) | None => {
            return (Value::String(text.to_owned()), None);
        }
    };
    match typed {
        Ok(value) => (value, None),
        Err(was) => (Value::String(text.to_owned()), Some(was)),
    }
}

/// Reads `true` or `1`, `false` or `0` as a bool.
#[must_use]
pub fn bool_from(text: &str) -> Option<Value> {
    match text {
        "true" | "1" => Some(Value::Bool(true)),
        "false" | "0" => Some(Value::Bool(false)),
        _ => None,
    }
}

/// Reads a JSON number; it keeps its text.
#[must_use]
pub fn number_from(text: &str) -> Option<Value> {
    // The parser allows blanks around a number; here they make it text.
    let is_bare = !text.starts_with(char::is_whitespace) && !text.ends_with(char::is_whitespace);
    let number: Number = serde_json::from_str(text).ok().filter(|_| is_bare)?;
    Some(Value::Number(number))
}

/// Why a text is not an assignment.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentError {
    /// It has no `=`.
    #[error("{word:?} is not an assignment")]
    NoSign {
        /// The text.
        word: String,
    },
    /// The text before the `=` is not a field.
    #[error("wrong field {name:?}")]
    Field {
        /// The text before the `=`.
        name: String,
        /// What is wrong with it.
        source: FieldPathError,
    },
    /// The text after the `:=` is not JSON.
    #[error("the value of {name} is not JSON")]
    Json {
        /// The text before the `:=`.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap()
    }

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    fn assign(host: &mut Record, word: &str) -> Result<Option<Retyped>, SetError> {
        Assignment::parse(word).unwrap().apply(host)
    }

    #[test]
    fn assignments_are_texts_or_json() {
        let text = |name, text: &str| Assignment::text(field(name), text.to_owned());
        let typed = |name, value| Assignment::typed(field(name), value);
        for (word, wanted) in [
            ("a=1", text("a", "1")),
            ("a=", text("a", "")),
            ("a=x=y", text("a", "x=y")),
            ("a=:=1", text("a", ":=1")),
            ("a.b:=1", typed("a.b", json!(1))),
            ("a:={\"b\":[null,true]}", typed("a", json!({"b": [null, true]}))),
        ] {
            let assignment = Assignment::parse(word).unwrap();
            assert_eq!(assignment, wanted);
            assert_eq!(assignment.to_string(), word);
        }
        for (word, wanted) in [
            ("a", "\"a\" is not an assignment"),
            ("", "\"\" is not an assignment"),
            ("=1", "wrong field \"\""),
            (":=1", "wrong field \"\""),
            ("a..b=1", "wrong field \"a..b\""),
            ("a:=", "the value of a is not JSON"),
            ("a:=yes", "the value of a is not JSON"),
        ] {
            assert_eq!(Assignment::parse(word).unwrap_err().to_string(), wanted);
        }
    }

    #[test]
    fn text_keeps_the_type_of_numbers_and_bools_where_it_can() {
        let table = [
            (json!(1), "2", json!(2), None),
            (json!(1), "-0.5e3", serde_json::from_str("-0.5e3").unwrap(), None),
            (json!(1), "007", json!("007"), Some("number")),
            (json!(1), " 2", json!(" 2"), Some("number")),
            (json!(1), "", json!(""), Some("number")),
            (json!(1), "true", json!("true"), Some("number")),
            (json!(true), "0", json!(false), None),
            (json!(false), "true", json!(true), None),
            (json!(false), "false", json!(false), None),
            (json!(false), "yes", json!("yes"), Some("bool")),
            (json!("1"), "2", json!("2"), None),
            (json!(null), "2", json!("2"), None),
        ];
        for (present, text, expected, was) in table {
            let mut host = record(json!({"f": present}));
            let retyped = assign(&mut host, &format!("f={text}"));
            assert_eq!(host, record(json!({"f": expected})), "{text:?}");
            assert_eq!(retyped.unwrap(), was.map(|was| Retyped { field: field("f"), was }));
        }
    }

    #[test]
    fn numbers_keep_their_text() {
        let mut host = record(json!({"f": 1}));
        assign(&mut host, "f=1.50").unwrap();
        assert_eq!(host.get(&field("f")).unwrap().to_string(), "1.50");
    }

    #[test]
    fn typed_values_replace_whole_containers_of_their_kind() {
        let mut host = record(json!({"o": {"x": 1, "y": 2}, "l": [1], "s": "1"}));
        for word in ["o:={\"z\":3}", "l:=[]", "s:=1", "new.a:=[{}]"] {
            assert_eq!(assign(&mut host, word), Ok(None));
        }
        let expected = json!({"o": {"z": 3}, "l": [], "s": 1, "new": {"a": [{}]}});
        assert_eq!(host, record(expected));
    }

    #[test]
    fn what_would_lose_fields_is_refused() {
        let table = [
            ("o=1", SetError::OverObject(field("o"))),
            ("o:=1", SetError::OverObject(field("o"))),
            ("o:=[]", SetError::OverObject(field("o"))),
            ("l=1", SetError::OverList(field("l"))),
            ("l:={}", SetError::OverList(field("l"))),
            ("s.a=1", SetError::ThroughScalar(field("s"))),
            ("s.a:=1", SetError::ThroughScalar(field("s"))),
        ];
        for (word, error) in table {
            let mut host = record(json!({"o": {"x": 1}, "l": [1], "s": "text"}));
            assert_eq!(assign(&mut host, word), Err(error), "{word}");
        }
    }
}
