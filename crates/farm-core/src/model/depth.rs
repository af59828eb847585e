//! How deeply values nest.

use serde_json::Value;

/// How many objects and lists may nest, the record itself included: the limit of
/// `serde_json`.
pub const DEPTH_MAX: usize = 127;

/// How many objects and lists nest in `value`: 0 for a plain one.
#[must_use]
pub fn height(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(height).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}
