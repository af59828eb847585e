//! Fields on the command line and on the screen.

use farm_core::cli::Failure;
use farm_core::model::{FieldPath, Value};

/// Reads the name of a field.
pub(super) fn parse_field(text: &str) -> Result<FieldPath, Failure> {
    FieldPath::parse(text)
        .map_err(|error| Failure::from(error).during(format!("wrong field {text:?}")))
}

/// A string bare, everything else as JSON.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
