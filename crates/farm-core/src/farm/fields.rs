//! Reading and writing the fields of a record whose writer may be any client.

use crate::model::{Map, Record, Value};

/// How many characters of a text are kept: more would not fit in one line of a list.
pub(super) const TEXT_CHARS_MAX: usize = 200;

/// The valid fields of a record; an invalid one counts as missing.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl Fields<'_> {
    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.0.get(field)?.as_str().map(shortened)
    }

    pub(super) fn parsed<T: std::str::FromStr>(&self, field: &str) -> Option<T> {
        self.0.get(field)?.as_str()?.parse().ok()
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, field: &str) -> Option<T> {
        self.0.get(field)?.as_u64().and_then(|number| T::try_from(number).ok())
    }

    pub(super) fn time(&self, field: &str) -> Option<i64> {
        self.0.get(field)?.as_i64()
    }

    pub(super) fn is_set(&self, field: &str) -> bool {
        self.0.get(field).and_then(Value::as_bool).unwrap_or_default()
    }

    pub(super) fn list(&self, field: &str) -> &[Value] {
        self.0.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// A record with those of the fields that have a value.
pub(super) fn record<const N: usize>(fields: [(&str, Option<Value>); N]) -> Record {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Record::from_map(fields.collect())
}

/// The start of a text from any client or operator.
#[must_use]
pub fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}
