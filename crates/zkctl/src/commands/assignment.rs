//! What `zkctl set` is told, and what that makes of a record.
//!
//! **Invariant.** An assignment replaces one plain value, or a whole object or
//! list by another one when `:=` says so; nothing else ever gets lost by it.

use super::field::parse_field;
use clap::ValueEnum;
use farm_core::cli::{Exit, Failure};
use farm_core::model::{FieldPath, Number, Record, SetError, Value};
use farm_core::session::ZnodePath;

/// One field and what it shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    field: FieldPath,
    value: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Text(String),
    Typed(Value),
}

impl Assignment {
    pub(super) const fn text(field: FieldPath, text: String) -> Self {
        Self { field, value: Wanted::Text(text) }
    }

    /// The same with a text read as a value of that type. What came as JSON has
    /// its type already.
    pub(super) fn typed(self, wanted: Type) -> Result<Self, Failure> {
        let Wanted::Text(text) = self.value else { return Ok(self) };
        let value = match wanted {
            Type::String => Some(Value::String(text.clone())),
            Type::Number => number(&text),
            Type::Bool => flag(&text),
            Type::Json => serde_json::from_str(&text).ok(),
        };
        let Some(value) = value else {
            let what = format!("the value of {} is no {}: {text:?}", self.field, wanted.name());
            return Err(Failure::new(Exit::Usage, what));
        };
        Ok(Self { value: Wanted::Typed(value), ..self })
    }

    pub(super) const fn field(&self) -> &FieldPath {
        &self.field
    }
}

/// The types that a text can be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Type {
    String,
    Number,
    Bool,
    Json,
}

impl Type {
    const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Json => "JSON",
        }
    }
}

/// The words after the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assignments {
    Known(Vec<Assignment>),
    FromStdin(FieldPath),
}

/// Reads `FIELD VALUE`, or `FIELD=TEXT` and `FIELD:=JSON` as often as wanted;
/// the first word tells which of the two it is.
pub(super) fn parse_words(words: &[String]) -> Result<Assignments, Failure> {
    let usage = |what: String| Failure::new(Exit::Usage, what);
    if words.first().is_some_and(|word| word.contains('=')) {
        let assignments: Result<_, _> = words.iter().map(|word| parse_assignment(word)).collect();
        return assignments.map(Assignments::Known);
    }
    match words {
        [field, value] if value == "-" => parse_field(field).map(Assignments::FromStdin),
        [field, value] => {
            let assignment = Assignment::text(parse_field(field)?, value.clone());
            Ok(Assignments::Known(vec![assignment]))
        }
        [] => Err(usage("no field is named".to_owned())),
        [field] => Err(usage(format!("no value for the field {field}"))
            .hint(format!("{field}= is the empty text"))),
        [field, _, more, ..] => Err(usage(format!("{more:?} follows the value of {field}"))
            .hint("several fields are set by FIELD=TEXT FIELD=TEXT")),
    }
}

fn parse_assignment(word: &str) -> Result<Assignment, Failure> {
    let Some((field, text)) = word.split_once('=') else {
        let what = format!("{word:?} is no assignment");
        return Err(Failure::new(Exit::Usage, what)
            .hint("after FIELD=TEXT only FIELD=TEXT or FIELD:=JSON can follow"));
    };
    let Some(field) = field.strip_suffix(':') else {
        return Ok(Assignment::text(parse_field(field)?, text.to_owned()));
    };
    let value = serde_json::from_str(text).map_err(|error| {
        let what = format!("the value of {field} is no JSON");
        Failure::new(Exit::Usage, what).because(error).hint(format!("{field}= takes plain text"))
    })?;
    Ok(Assignment { field: parse_field(field)?, value: Wanted::Typed(value) })
}

/// A number or bool that became a string, because the text is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Retyped {
    pub(super) field: FieldPath,
    pub(super) was: &'static str,
}

/// An assignment that the record of a znode can't take.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) path: ZnodePath,
    pub(super) error: SetError,
}

/// Makes the assignments, in their order.
pub(super) fn apply(
    record: &mut Record,
    assignments: &[Assignment],
) -> Result<Vec<Retyped>, SetError> {
    let mut all_retyped = Vec::new();
    for Assignment { field, value } in assignments {
        let present = record.get(field);
        let value = match value {
            Wanted::Typed(value) => {
                if present.is_some_and(|present| is_same_container(present, value)) {
                    record.unset(field);
                }
                value.clone()
            }
            Wanted::Text(text) => {
                let (value, was) = typed_like(present, text);
                all_retyped.extend(was.map(|was| Retyped { field: field.clone(), was }));
                value
            }
        };
        record.set(field, value)?;
    }
    Ok(all_retyped)
}

fn is_same_container(present: &Value, value: &Value) -> bool {
    present.is_object() && value.is_object() || present.is_array() && value.is_array()
}

/// The text as a value of the type that the field has now, and that type's
/// name if the text is no such value.
fn typed_like(present: Option<&Value>, text: &str) -> (Value, Option<&'static str>) {
    let typed = match present {
        Some(Value::Number(_)) => number(text).ok_or("number"),
        Some(Value::Bool(_)) => flag(text).ok_or("bool"),
        _ => return (Value::String(text.to_owned()), None),
    };
    match typed {
        Ok(value) => (value, None),
        Err(was) => (Value::String(text.to_owned()), Some(was)),
    }
}

fn flag(text: &str) -> Option<Value> {
    match text {
        "true" | "1" => Some(Value::Bool(true)),
        "false" | "0" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    // The parser takes blanks around a number; for us they are text.
    let is_bare = !text.starts_with(char::is_whitespace) && !text.ends_with(char::is_whitespace);
    let number: Number = serde_json::from_str(text).ok().filter(|_| is_bare)?;
    Some(Value::Number(number))
}

impl From<Refusal> for Failure {
    fn from(Refusal { path, error }: Refusal) -> Self {
        let hint = match &error {
            SetError::OverObject(field) => Some(format!(
                "name a field in it, like {field}.NAME, or replace it with {field}:='{{...}}'"
            )),
            SetError::OverList(field) => Some(format!("replace it with {field}:='[...]'")),
            SetError::ThroughScalar(field) => {
                Some(format!("take it away first with zkctl unset {path} {field}"))
            }
            SetError::NoField | SetError::TooDeep(_) | SetError::Reserved(_) => None,
        };
        let failure = Self::new(Exit::Malformed, format!("cannot set {path}")).because(error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn field(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap()
    }

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    fn parsed(text: &[&str]) -> Vec<Assignment> {
        match parse_words(&words(text)).unwrap() {
            Assignments::Known(assignments) => assignments,
            Assignments::FromStdin(field) => panic!("{field} from stdin"),
        }
    }

    #[test]
    fn words_are_one_field_and_value_or_assignments() {
        let text = |name, text: &str| Assignment::text(field(name), text.to_owned());
        let typed = |name, value| Assignment { field: field(name), value: Wanted::Typed(value) };
        let table: [(&[&str], Vec<Assignment>); 10] = [
            (&["enabled", "1"], vec![text("enabled", "1")]),
            (&["enabled", ""], vec![text("enabled", "")]),
            (&["enabled", "a=b"], vec![text("enabled", "a=b")]),
            (&["delta", "-5"], vec![text("delta", "-5")]),
            (&["mysql.delay=3"], vec![text("mysql.delay", "3")]),
            (&["a=x=y", "b="], vec![text("a", "x=y"), text("b", "")]),
            (&["a=-"], vec![text("a", "-")]),
            (&["a=:=1"], vec![text("a", ":=1")]),
            (&["a:=1", "b=1"], vec![typed("a", json!(1)), text("b", "1")]),
            (&["a:= {\"b\": [null, true]} "], vec![typed("a", json!({"b": [null, true]}))]),
        ];
        for (input, expected) in table {
            assert_eq!(parsed(input), expected, "{input:?}");
        }
        let from_stdin = Assignments::FromStdin(field("a.b"));
        assert_eq!(parse_words(&words(&["a.b", "-"])).unwrap(), from_stdin);
    }

    #[test]
    fn words_with_mistakes_are_wrong_usage() {
        let table: [&[&str]; 10] = [
            &[],
            &["a"],
            &["a", "b", "c"],
            &["a=1", "b"],
            &["=1"],
            &[":=1"],
            &["a:="],
            &["a:=yes"],
            &["a:=[1"],
            &["a..b", "1"],
        ];
        for input in table {
            let failure = parse_words(&words(input)).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{input:?}");
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
            let retyped = apply(&mut host, &[Assignment::text(field("f"), text.to_owned())]);
            assert_eq!(host, record(json!({"f": expected})), "{text:?}");
            let expected = was.map(|was| Retyped { field: field("f"), was });
            assert_eq!(retyped.unwrap(), Vec::from_iter(expected), "{text:?}");
        }
    }

    #[test]
    fn a_type_that_is_asked_for_is_the_type() {
        for (wanted, text, value) in [
            (Type::String, "1", Some(json!("1"))),
            (Type::Number, "1", Some(json!(1))),
            (Type::Number, "one", None),
            (Type::Number, "", None),
            (Type::Bool, "0", Some(json!(false))),
            (Type::Bool, "no", None),
            (Type::Json, "[1, null]", Some(json!([1, null]))),
            (Type::Json, "[1", None),
        ] {
            // Whatever type the field has now.
            for present in [json!("x"), json!(7), json!(null)] {
                let typed = Assignment::text(field("f"), text.to_owned()).typed(wanted);
                let Some(value) = &value else {
                    assert_eq!(typed.unwrap_err().exit(), Exit::Usage, "{wanted:?} {text:?}");
                    continue;
                };
                let mut host = record(json!({"f": present}));
                assert_eq!(apply(&mut host, &[typed.unwrap()]), Ok(Vec::new()));
                assert_eq!(host, record(json!({"f": value})), "{wanted:?} {text:?}");
            }
        }
        let [as_json] = &parsed(&["f:=1"])[..] else { panic!("one assignment") };
        assert_eq!(as_json.clone().typed(Type::String).unwrap(), *as_json);
    }

    #[test]
    fn numbers_keep_their_text() {
        let mut host = record(json!({"f": 1}));
        apply(&mut host, &parsed(&["f", "1.50"])).unwrap();
        assert_eq!(host.get(&field("f")).unwrap().to_string(), "1.50");
    }

    #[test]
    fn typed_values_replace_whole_containers_of_their_kind() {
        let mut host = record(json!({"o": {"x": 1, "y": 2}, "l": [1], "s": "1"}));
        apply(&mut host, &parsed(&["o:={\"z\":3}", "l:=[]", "s:=1", "new.a:=[{}]"])).unwrap();
        let expected = json!({"o": {"z": 3}, "l": [], "s": 1, "new": {"a": [{}]}});
        assert_eq!(host, record(expected));
    }

    #[test]
    fn what_would_lose_fields_is_refused_with_a_hint() {
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
            let refusal = apply(&mut host, &parsed(&[word])).unwrap_err();
            assert_eq!(refusal, error, "{word}");
            let failure = Failure::from(Refusal { path: ZnodePath::root(), error });
            assert_eq!(failure.exit(), Exit::Malformed);
            assert!(failure.told_by("zkctl").contains("\nhint: "), "{word}");
        }
    }
}
