//! A record as a farm keeps it.
//!
//! A parsed record can take a hundred times the memory of its text: an object with one field
//! takes more than 600 bytes. Whoever may write a znode decides how many of them there are.
//!
//! **Invariant.** A packed record takes at most as much memory as its text, or
//! [`PARSED_BYTES_MAX`]. Equal records are equal when they are packed.

use super::record::Record;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A record that takes more memory is kept as text. Those of most hosts take a quarter.
pub const PARSED_BYTES_MAX: usize = 8 << 10;

/// A record: parsed if that takes little memory, otherwise as its JSON text.
///
/// As with [`Record`], a clone costs nothing, and neither does comparing it with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRecord(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Parsed(Record),
    Text(Arc<str>),
}

impl PackedRecord {
    /// How much memory it takes at most.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.0 {
            Form::Parsed(_) => PARSED_BYTES_MAX,
            Form::Text(text) => text.len(),
        }
    }

    /// The record again.
    #[must_use]
    pub fn unpack(&self) -> Cow<'_, Record> {
        match &self.0 {
            Form::Parsed(record) => Cow::Borrowed(record),
            Form::Text(text) => {
                let map = serde_json::from_str(text).expect("it is the text of a record");
                Cow::Owned(Record::from_map(map))
            }
        }
    }
}

impl From<Record> for PackedRecord {
    fn from(record: Record) -> Self {
        if map_cost(record.as_map()) <= PARSED_BYTES_MAX {
            return Self(Form::Parsed(record));
        }
        let text = serde_json::to_string(record.as_map());
        Self(Form::Text(text.expect("an object with text keys is always JSON").into()))
    }
}

/// What a block on the heap takes besides its contents, rounding included.
const BLOCK: usize = 32;
const VALUE: usize = size_of::<Value>();
/// A node of a map has room for eleven entries, and at least five of them, unless it is the only
/// one.
const NODE: usize = BLOCK + 11 * (size_of::<String>() + VALUE);
const NODE_ENTRIES_LEAST: usize = 5;

/// How much memory an object takes at most.
fn map_cost(map: &Map<String, Value>) -> usize {
    if map.is_empty() {
        return 0;
    }
    let leaves = map.len().div_ceil(NODE_ENTRIES_LEAST);
    // Those above the leaves have room for twelve pointers more.
    let above = leaves.div_ceil(NODE_ENTRIES_LEAST);
    let nodes = if map.len() <= 11 { NODE } else { (leaves + above) * NODE + above * 96 };
    map.iter().fold(nodes, |cost, (key, value)| cost + BLOCK + key.len() + cost_of(value))
}

/// How much memory a value takes at most, besides the place that it is in.
fn cost_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => BLOCK + 2 * number.as_str().len(),
        Value::String(text) => BLOCK + text.len(),
        Value::Array(items) => {
            // The room that a list of this length may have, not that of this one: equal
            // records have to have equal costs.
            let room = if items.is_empty() { 0 } else { items.len().next_power_of_two().max(4) };
            let list = room * VALUE + BLOCK;
            items.iter().fold(list, |cost, item| cost + cost_of(item))
        }
        Value::Object(map) => map_cost(map),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: &Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    fn is_parsed(value: &Value) -> bool {
        let packed = PackedRecord::from(record(value));
        assert_eq!(*packed.unpack(), record(value));
        assert_eq!(packed, PackedRecord::from(record(value)));
        matches!(packed.0, Form::Parsed(_))
    }

    #[test]
    fn a_record_of_a_host_stays_parsed_and_one_that_costs_much_is_text() {
        let fields = |count: usize| {
            let field = |n: usize| (format!("field{n}"), json!(format!("value {n}")));
            Value::Object((0..count).map(field).collect())
        };
        assert!(is_parsed(&json!({})) && is_parsed(&fields(20)));
        assert!(!is_parsed(&fields(100)) && !is_parsed(&fields(1000)));
        assert!(!is_parsed(&json!({"a": vec![json!({"": 0}); 20]})));
        assert!(!is_parsed(&json!({"a": vec![json!([]); 300]})));
        assert!(!is_parsed(&json!({"a": "x".repeat(PARSED_BYTES_MAX)})));
    }

    #[test]
    fn what_is_kept_as_text_keeps_its_numbers() {
        let long = "x".repeat(PARSED_BYTES_MAX);
        let text = format!("{{\"a\":[1.50,1e+400,-0],\"b\":\"{long}\"}}");
        let packed = PackedRecord::from(Record::from_map(serde_json::from_str(&text).unwrap()));
        assert!(matches!(packed.0, Form::Text(_)));
        assert_eq!(serde_json::to_string(packed.unpack().as_map()).unwrap(), text);
    }
}
