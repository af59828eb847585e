//! Parses the words of `zkctl set`.
//!
//! **Invariant.** [`Assignment`] alone decides how a record changes; this module only
//! parses words and adds hints to errors.

use super::field::parse_field;
use clap::ValueEnum;
use farm_core::cli::{Exit, Failure};
use farm_core::model::{
    Assignment, AssignmentError, FieldPath, Record, Retyped, SetError, Value, bool_from,
    number_from,
};
use farm_core::session::ZnodePath;

/// The types of `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ValueType {
    String,
    Number,
    Bool,
    Json,
}

impl ValueType {
    const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Json => "JSON",
        }
    }

    /// Parses the text of the assignment as this type. Leaves an assignment from `:=` as
    /// it is, because JSON has a type.
    pub(super) fn convert(self, assignment: Assignment) -> Result<Assignment, Failure> {
        let Some(text) = assignment.as_text() else { return Ok(assignment) };
        let value = match self {
            Self::String => Some(Value::String(text.to_owned())),
            Self::Number => number_from(text),
            Self::Bool => bool_from(text),
            Self::Json => serde_json::from_str(text).ok(),
        };
        let Some(value) = value else {
            let what =
                format!("the value of {} is no {}: {text:?}", assignment.field(), self.name());
            return Err(Failure::new(Exit::Usage, what));
        };
        Ok(Assignment::typed(assignment.field().clone(), value))
    }
}

/// The parsed words after the path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assignments {
    Known(Vec<Assignment>),
    FromStdin(FieldPath),
}

/// Parses `FIELD VALUE`, or any number of `FIELD=TEXT` and `FIELD:=JSON`. The first word
/// decides between the two forms.
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
            .hint(format!("{field}= sets the empty text"))),
        [field, _, more, ..] => Err(usage(format!("{more:?} follows the value of {field}"))
            .hint("FIELD=TEXT FIELD=TEXT sets several fields")),
    }
}

fn parse_assignment(word: &str) -> Result<Assignment, Failure> {
    Assignment::parse(word).map_err(|error| {
        let failure = Failure::new(Exit::Usage, error.to_string());
        match error {
            AssignmentError::NoSign { .. } => {
                failure.hint("after FIELD=TEXT only FIELD=TEXT or FIELD:=JSON can follow")
            }
            AssignmentError::Field { source, .. } => failure.because(source),
            AssignmentError::Json { name, source } => {
                failure.because(source).hint(format!("{name}=TEXT sets plain text"))
            }
        }
    })
}

/// An assignment that cannot be made to the record of a znode.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CannotSet {
    pub(super) path: ZnodePath,
    pub(super) error: SetError,
}

/// Makes the assignments in order.
pub(super) fn apply(
    record: &mut Record,
    assignments: &[Assignment],
) -> Result<Vec<Retyped>, SetError> {
    let made: Result<Vec<_>, _> = assignments.iter().map(|one| one.apply(record)).collect();
    Ok(made?.into_iter().flatten().collect())
}

impl From<CannotSet> for Failure {
    fn from(CannotSet { path, error }: CannotSet) -> Self {
        let hint = match &error {
            SetError::OverObject(field) => Some(format!(
                "name a field in it, like {field}.NAME, or replace it with {field}:='{{...}}'"
            )),
            SetError::OverList(field) => Some(format!("replace it with {field}:='[...]'")),
            SetError::ThroughScalar(field) => {
                Some(format!("remove it first with zkctl unset {path} {field}"))
            }
            SetError::NoField | SetError::TooDeep(_) | SetError::Reserved(_) => None,
        };
        let failure = Self::from(error).during(format!("cannot set {path}"));
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
        let typed = |name, value| Assignment::typed(field(name), value);
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
    fn the_value_has_the_requested_type() {
        for (value_type, text, value) in [
            (ValueType::String, "1", Some(json!("1"))),
            (ValueType::Number, "1", Some(json!(1))),
            (ValueType::Number, "one", None),
            (ValueType::Number, "", None),
            (ValueType::Bool, "0", Some(json!(false))),
            (ValueType::Bool, "no", None),
            (ValueType::Json, "[1, null]", Some(json!([1, null]))),
            (ValueType::Json, "[1", None),
        ] {
            // The type that the field has now does not matter.
            for present in [json!("x"), json!(7), json!(null)] {
                let typed = value_type.convert(Assignment::text(field("f"), text.to_owned()));
                let Some(value) = &value else {
                    assert_eq!(typed.unwrap_err().exit(), Exit::Usage, "{value_type:?} {text:?}");
                    continue;
                };
                let mut host = record(json!({"f": present}));
                assert_eq!(apply(&mut host, &[typed.unwrap()]), Ok(Vec::new()));
                assert_eq!(host, record(json!({"f": value})), "{value_type:?} {text:?}");
            }
        }
        let [as_json] = &parsed(&["f:=1"])[..] else { panic!("one assignment") };
        assert_eq!(ValueType::String.convert(as_json.clone()).unwrap(), *as_json);
    }

    #[test]
    fn an_assignment_that_would_lose_fields_is_refused_with_a_hint() {
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
            assert_eq!(apply(&mut host, &parsed(&[word])).unwrap_err(), error, "{word}");
            let failure = Failure::from(CannotSet { path: ZnodePath::root(), error });
            assert_eq!(failure.exit(), Exit::Malformed);
            assert!(failure.render("zkctl").contains("\nhint: "), "{word}");
        }
    }
}
