//! PHP: a script that returns the farm as an array. Written, never read.
//!
//! **Invariant.** Every key and value is a literal in the script. Text is always
//! double-quoted, with every character escaped that could end the string or begin
//! an expression in it.

use std::io::Write as _;

use serde_json::{Map, Number, Value};

use super::error::EncodeError;
use crate::engine::check_stop;
use crate::model::{Farm, Record};

const OPENING: &[u8] = b"<?php\nreturn array\n(\n";
const CLOSING: &[u8] = b");\n";

pub(super) fn encode_farm(farm: &Farm) -> Result<Vec<u8>, EncodeError> {
    let mut out = OPENING.to_vec();
    for (name, record) in farm {
        check_stop().map_err(|_| EncodeError::Stopped)?;
        out.extend(b"    ");
        write_text(&mut out, name.as_str());
        out.extend(b" => array\n    (\n");
        write_lines(&mut out, "        ", record.unpack().as_map());
        out.extend(b"    ),\n");
    }
    out.extend(CLOSING);
    Ok(out)
}

pub(super) fn encode_record(record: &Record) -> Vec<u8> {
    let mut out = OPENING.to_vec();
    write_lines(&mut out, "    ", record.as_map());
    out.extend(CLOSING);
    out
}

fn write_lines(out: &mut Vec<u8>, indent: &str, map: &Map<String, Value>) {
    for (key, value) in map {
        out.extend(indent.as_bytes());
        write_text(out, key);
        out.extend(b" => ");
        write_value(out, value);
        out.extend(b",\n");
    }
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_text(out, text),
        Value::Array(items) => write_array(out, items, write_value),
        Value::Object(map) => write_array(out, map, |out, (key, value)| {
            write_text(out, key);
            out.extend(b" => ");
            write_value(out, value);
        }),
    }
}

fn write_array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    write_item: impl Fn(&mut Vec<u8>, T),
) {
    out.extend(b"array(");
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.extend(b", ");
        }
        write_item(out, item);
    }
    out.push(b')');
}

/// PHP reads numbers as JSON does, except the lowest integer: the sign is an operator
/// in PHP, so it would be the negation of a float.
fn write_number(out: &mut Vec<u8>, number: &Number) {
    match number.as_str() {
        "-9223372036854775808" => out.extend(b"-9223372036854775807 - 1"),
        text => out.extend(text.as_bytes()),
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'$' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            // Always two digits, so that a digit after it is never part of the escape.
            0x00..=0x1f | 0x7f => {
                write!(out, "\\x{byte:02X}").expect("a vector takes every write");
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
