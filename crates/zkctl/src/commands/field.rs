//! Fields on the command line and in the answer.

use farm_core::cli::Failure;
use farm_core::model::{FieldPath, Value};

/// Parses the name of a field.
pub(super) fn parse_field(text: &str) -> Result<FieldPath, Failure> {
    FieldPath::parse(text)
        .map_err(|error| Failure::from(error).during(format!("wrong field {text:?}")))
}

/// A value as text: a string as it is, any other value as JSON.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
