//! Resolves scalars to values.
//!
//! Plain text follows the core schema of YAML 1.2. Where YAML 1.1 disagrees (`yes`,
//! `010`, `1_000`, `12:30`) it stays text, so that nothing is lost.

use serde_json::{Number, Value};
use serde_saphyr::granit_parser::Tag;

use crate::codec::error::FieldFault;

/// Whether the tag says that its scalar is text.
pub(super) fn is_text_tag(tag: &Tag) -> bool {
    is_non_specific(tag) || tag.is_yaml_core_schema_tag("str")
}

/// Whether the tag is a lone `!`, the non-specific tag: the scalar is text.
pub(super) fn is_non_specific(tag: &Tag) -> bool {
    tag.handle().is_empty() && tag.suffix() == "!"
}

/// The value of a scalar with its tag, if it has one.
pub(super) fn resolve(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Value, FieldFault> {
    let Some(tag) = tag else {
        return if is_plain { resolve_plain(text) } else { Ok(Value::from(text)) };
    };
    if is_text_tag(tag) {
        return Ok(Value::from(text));
    }
    if !tag.is_yaml_core_schema() {
        return Err(FieldFault::UnknownTag);
    }
    let value = resolve_plain(text)?;
    let fits = match &value {
        Value::Null => tag.is_yaml_core_schema_tag("null"),
        Value::Bool(_) => tag.is_yaml_core_schema_tag("bool"),
        Value::Number(number) => {
            let is_integer = !number.as_str().contains(['.', 'e', 'E']);
            tag.is_yaml_core_schema_tag(if is_integer { "int" } else { "float" })
        }
        Value::String(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if fits { Ok(value) } else { Err(FieldFault::TagMismatch) }
}

fn resolve_plain(text: &str) -> Result<Value, FieldFault> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(FieldFault::NotFinite);
    }
    Ok(number(text).map_or_else(|| Value::from(text), Value::Number))
}

/// A number keeps its text if that is JSON too (`1.50`, `1e+3`); spellings that only
/// YAML has are converted (`0x1f`, `+1`, `.5`, `5.`).
fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && digits.chars().all(|c| c.is_digit(radix))
        {
            return u128::from_str_radix(digits, radix).ok()?.to_string().parse().ok();
        }
    }
    let text = match text.strip_prefix('+') {
        Some(unsigned) if unsigned.starts_with('-') => return None,
        Some(unsigned) => unsigned,
        None => text,
    };
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (mantissa, exponent) = digits.split_at(digits.find(['e', 'E']).unwrap_or(digits.len()));
    let (whole, fraction) = mantissa.split_once('.')?;
    let (whole, fraction) = match (whole, fraction) {
        ("", "") => return None,
        ("", fraction) => ("0", fraction),
        (whole, "") => (whole, "0"),
        both => both,
    };
    format!("{sign}{whole}.{fraction}{exponent}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_text_is_what_the_core_schema_says() {
        for (text, wanted) in [
            ("3", "3"),
            ("+3", "3"),
            ("-3", "-3"),
            ("0", "0"),
            ("-0", "-0"),
            ("3.0", "3.0"),
            ("1.50", "1.50"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("5.", "5.0"),
            ("5.e3", "5.0e+3"),
            ("1e3", "1e+3"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1e400", "1e+400"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("true", "true"),
            ("False", "false"),
            ("~", "null"),
            ("", "null"),
            ("NULL", "null"),
        ] {
            let resolved = resolve_plain(text).unwrap();
            assert_eq!(resolved.to_string(), wanted, "{text}");
            assert!(!resolved.is_string(), "{text}");
        }
        for text in [
            "yes",
            "No",
            "on",
            "y",
            "007",
            "-010",
            "1_000",
            "0b1",
            "0x",
            "0xg",
            "-0x1f",
            "12:30",
            "2020-01-01",
            "1.2.3.4",
            ".",
            "-",
            "+",
            "+-1",
            "1e",
            "e3",
            ".e3",
            "nan",
            "inf",
            "-.nan",
            "tRue",
            "nULL",
            "1 2",
            "<<",
            "=",
            "\u{663}",
            "0xffffffffffffffffffffffffffffffffff",
        ] {
            assert_eq!(resolve_plain(text), Ok(json!(text)));
        }
    }
}
