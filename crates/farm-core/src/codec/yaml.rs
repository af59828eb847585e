//! YAML: block style, read and written with `serde-saphyr`.
//!
//! The library scans, parses and quotes. This module resolves plain texts to values,
//! and lays out objects and lists: through `serde` numbers would lose their text.
//!
//! **Invariant.** A string reads back as a string also in YAML 1.1, where `on`,
//! `1:30` and dates are not strings.

mod compose;
mod scalar;

use serde_json::{Map, Value};
use serde_saphyr::DoubleQuoted;

use super::error::{DecodeError, EncodeError};
use crate::engine::{check_stop, without_byte_order_mark};
use crate::model::{Farm, Record};

pub use compose::DOCUMENT_BYTES_MAX;

/// Longer keys get a line of their own: parsers look for the colon only so far.
const INLINE_KEY_CHARS_MAX: usize = 120;

pub(super) fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let bytes = without_byte_order_mark(bytes);
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes_max: DOCUMENT_BYTES_MAX });
    }
    let text = std::str::from_utf8(bytes).map_err(DecodeError::NotUtf8)?;
    match compose::document(text)? {
        Some(Value::Object(map)) => Ok(Record::from_map(map)),
        Some(_) | None => Err(DecodeError::NotAnObject),
    }
}

pub(super) fn encode_record(record: &Record) -> Result<Vec<u8>, EncodeError> {
    let mut out = String::new();
    write_document(&mut out, record.as_map())?;
    Ok(out.into_bytes())
}

pub(super) fn encode_farm(farm: &Farm) -> Result<Vec<u8>, EncodeError> {
    let mut out = String::new();
    for (name, record) in farm {
        check_stop().map_err(|_| EncodeError::Stopped)?;
        write_key(&mut out, name.as_str(), 0)?;
        write_object_below(&mut out, record.unpack().as_map(), 2)?;
    }
    if farm.is_empty() {
        out.push_str("{}\n");
    }
    Ok(out.into_bytes())
}

/// Encodes any value for people to read.
///
/// # Errors
///
/// [`EncodeError::Yaml`] if the library refuses a text.
pub fn encode_value(value: &Value) -> Result<Vec<u8>, EncodeError> {
    let mut out = String::new();
    match value {
        Value::Object(map) => write_document(&mut out, map)?,
        Value::Array(items) if !items.is_empty() => write_items(&mut out, items, 0)?,
        plain => write_plain(&mut out, plain)?,
    }
    Ok(out.into_bytes())
}

fn write_document(out: &mut String, map: &Map<String, Value>) -> Result<(), EncodeError> {
    if map.is_empty() {
        out.push_str("{}\n");
        return Ok(());
    }
    write_entries(out, map, 0)
}

/// Writes the entries of an object; the line of the first one is already indented.
fn write_entries(
    out: &mut String,
    map: &Map<String, Value>,
    indent: usize,
) -> Result<(), EncodeError> {
    for (index, (key, value)) in map.iter().enumerate() {
        if index > 0 {
            write_indent(out, indent);
        }
        write_key(out, key, indent)?;
        match value {
            Value::Object(inner) => write_object_below(out, inner, indent + 2)?,
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                write_indent(out, indent + 2);
                write_items(out, items, indent + 2)?;
            }
            plain => {
                out.push(' ');
                write_plain(out, plain)?;
            }
        }
    }
    Ok(())
}

fn write_object_below(
    out: &mut String,
    map: &Map<String, Value>,
    indent: usize,
) -> Result<(), EncodeError> {
    if map.is_empty() {
        out.push_str(" {}\n");
        return Ok(());
    }
    out.push('\n');
    write_indent(out, indent);
    write_entries(out, map, indent)
}

/// Writes the items of a list; the line of the first one is already indented.
fn write_items(out: &mut String, items: &[Value], indent: usize) -> Result<(), EncodeError> {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            write_indent(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => write_entries(out, map, indent + 2)?,
            Value::Array(inner) if !inner.is_empty() => write_items(out, inner, indent + 2)?,
            plain => write_plain(out, plain)?,
        }
    }
    Ok(())
}

/// Writes a value that takes one line.
fn write_plain(out: &mut String, value: &Value) -> Result<(), EncodeError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => out.push_str(number.as_str()),
        Value::String(text) => write_text(out, text)?,
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
    out.push('\n');
    Ok(())
}

fn write_key(out: &mut String, key: &str, indent: usize) -> Result<(), EncodeError> {
    if key.chars().nth(INLINE_KEY_CHARS_MAX).is_none() {
        write_text(out, key)?;
    } else {
        out.push_str("? ");
        write_text(out, key)?;
        out.push('\n');
        write_indent(out, indent);
    }
    out.push(':');
    Ok(())
}

/// Quotes a text, unless it looks like a word and the library would not quote it
/// either. Keys and values get the same quotes.
fn write_text(out: &mut String, text: &str) -> Result<(), EncodeError> {
    let failed = |error| EncodeError::Yaml(Box::new(error));
    if looks_like_a_word(text) {
        let start = out.len();
        serde_saphyr::to_fmt_writer(out, &text).map_err(failed)?;
        if out[start..].trim_end_matches('\n') == text {
            out.truncate(start + text.len());
            return Ok(());
        }
        out.truncate(start);
    }
    serde_saphyr::to_fmt_writer(out, &DoubleQuoted(text)).map_err(failed)?;
    out.truncate(out.trim_end_matches('\n').len());
    Ok(())
}

fn looks_like_a_word(text: &str) -> bool {
    const WORD_BYTES_MAX: usize = 72;
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '+' | ' ');
    text.len() <= WORD_BYTES_MAX
        && text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '/'))
        && !text.ends_with(' ')
        && text.chars().all(goes_on)
}

fn write_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_at_the_start_is_dropped() {
        for text in ["a: 1\n", "# comment\na: 1\n", "--- {a: 1}\n", "{\"a\": 1}"] {
            let marked = decode(format!("\u{feff}{text}").as_bytes()).unwrap();
            assert_eq!(marked, decode(text.as_bytes()).unwrap(), "{text:?}");
        }
        let inside = decode("a: \"\u{feff}1\"\n".as_bytes()).unwrap();
        assert_eq!(inside.as_map()["a"], "\u{feff}1");
    }
}
