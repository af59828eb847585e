//! Some fields of a record.

use super::field::{FieldPath, FieldPathError};
use super::record::Record;
use std::str::FromStr;

/// Fields to take of a record, `a, b.c`; the order is the one in which they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<FieldPath>);

impl Selection {
    /// The fields, in the order in which they were named.
    #[must_use]
    pub fn fields(&self) -> &[FieldPath] {
        &self.0
    }

    /// A record with only these fields.
    #[must_use]
    pub fn of(&self, record: &Record) -> Record {
        let mut fields: Vec<&FieldPath> = self.0.iter().collect();
        // Shorter paths first: a field inside one that is taken whole is there already.
        fields.sort_by_key(|field| field.keys().len());
        let mut selected = Record::new();
        for field in fields {
            if let (Some(value), None) = (record.get(field), selected.get(field)) {
                selected.set(field, value.clone()).unwrap_or_default();
            }
        }
        selected
    }
}

impl FromStr for Selection {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        text.split(',')
            .map(|field| FieldPath::parse(field.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn fields_are_separated_by_commas_and_blanks_do_not_matter() {
        let selection: Selection = "b.c ,a, d\\.e".parse().unwrap();
        let shown: Vec<String> = selection.fields().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["b.c", "a", "d\\.e"]);
        for text in ["", "a,,b", "a.", ","] {
            assert!(text.parse::<Selection>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_named_is_taken_once_with_what_is_above_it() {
        let record = json!({"a": {"b": 1, "c": 2}, "d": [1], "e": "x"});
        let record = Record::from_map(record.as_object().unwrap().clone());
        for (fields, expected) in [
            ("a.b", json!({"a": {"b": 1}})),
            ("a.b,a", json!({"a": {"b": 1, "c": 2}})),
            ("a.c,a.b", json!({"a": {"b": 1, "c": 2}})),
            ("d,d,none,e.x", json!({"d": [1]})),
            ("none", json!({})),
        ] {
            let selected = fields.parse::<Selection>().unwrap().of(&record);
            assert_eq!(Value::Object(selected.into_map()), expected, "{fields}");
        }
    }
}
