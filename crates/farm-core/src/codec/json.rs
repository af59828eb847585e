//! JSON: compact in a znode, pretty in a file.
//!
//! **Invariant.** Numbers keep their text, except that the parser writes exponents as
//! `e+3`. Keys are sorted by bytes. Equal records have equal bytes.

use serde::ser::{Error as _, Serialize, Serializer};

use super::bounds::{self, RECORD_BYTES_MAX};
use super::error::{DecodeError, EncodeError};
use crate::engine::{check_stop, without_byte_order_mark};
use crate::model::{Farm, PackedRecord, RESERVED_KEY, Record, Value};

/// Decodes the data of a znode. No bytes are the empty record.
///
/// # Errors
///
/// [`DecodeError`] if there are bytes, and they are not a JSON object or exceed a bound.
pub fn decode_znode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let bytes = without_byte_order_mark(bytes);
    if bytes.is_empty() { Ok(Record::new()) } else { decode_unmarked(bytes) }
}

/// Encodes the data of a znode.
#[must_use]
pub fn encode_znode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record.as_map()).expect("an object with text keys is always JSON")
}

/// Checks that what [`encode_znode`] has returned can be decoded again, apart from its length,
/// which is checked when it is sent: it may be the union of two records.
///
/// # Errors
///
/// [`DecodeError`] if it exceeds a bound.
pub fn check_znode(data: &[u8]) -> Result<(), DecodeError> {
    std::str::from_utf8(data).map_err(DecodeError::NotUtf8).and_then(bounds::check)
}

/// Parses one value within the bounds of a record; `None` if it is none.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    bounds::check(text).ok()?;
    serde_json::from_str(text).ok()
}

/// Decodes one object. If a key is there twice, the last value counts.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    decode_unmarked(without_byte_order_mark(bytes))
}

fn decode_unmarked(bytes: &[u8]) -> Result<Record, DecodeError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes_max: RECORD_BYTES_MAX });
    }
    let text = std::str::from_utf8(bytes).map_err(DecodeError::NotUtf8)?;
    bounds::check(text)?;
    // Before parsing, which turns such an object into a number.
    if has_reserved_key(text) {
        return Err(DecodeError::ReservedKey);
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(Record::from_map(map)),
        Ok(_) => Err(DecodeError::NotAnObject),
        Err(error) => Err(explain(text, error)),
    }
}

pub(super) fn encode_record(record: &Record) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(record.as_map())
        .expect("an object with text keys is always JSON");
    bytes.push(b'\n');
    bytes
}

pub(super) fn encode_farm(farm: &Farm) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = serde_json::to_vec_pretty(&Hosts(farm)).map_err(|_| EncodeError::Stopped)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Unpacks one host after the other.
struct Hosts<'a>(&'a Farm);
struct Host<'a>(&'a PackedRecord);

impl Serialize for Hosts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, record)| (name.as_str(), Host(record))))
    }
}

impl Serialize for Host<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        check_stop().map_err(S::Error::custom)?;
        self.0.unpack().as_map().serialize(serializer)
    }
}

/// Whether some key is [`RESERVED_KEY`], with or without escapes.
///
/// In well-formed JSON a quote outside of a string begins one, so no more of the
/// grammar is needed. Malformed text fails later, whatever the result.
fn has_reserved_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut start = 0;
    while let Some(found) = text[start..].find('"') {
        let opening = start + found;
        let mut closing = opening + 1;
        while let Some(byte) = bytes.get(closing)
            && *byte != b'"'
        {
            closing += if *byte == b'\\' { 2 } else { 1 };
        }
        if closing >= bytes.len() {
            return false;
        }
        let quoted = &text[opening..=closing];
        let is_key = text[closing + 1..].trim_start().starts_with(':');
        if is_key && is_reserved(quoted) {
            return true;
        }
        start = closing + 1;
    }
    false
}

fn is_reserved(quoted: &str) -> bool {
    if !quoted.contains('\\') {
        return quoted[1..quoted.len() - 1] == *RESERVED_KEY;
    }
    serde_json::from_str::<String>(quoted).is_ok_and(|key| key == RESERVED_KEY)
}

/// Gives NaN and Infinity, which Python's `json` writes, an error of their own: the
/// parser's message does not name them.
fn explain(text: &str, error: serde_json::Error) -> DecodeError {
    let (line, column) = (error.line(), error.column());
    let rest = text
        .split('\n')
        .nth(line.saturating_sub(1))
        .and_then(|found| found.as_bytes().get(column.saturating_sub(1)..));
    match rest {
        Some(rest) if rest.starts_with(b"NaN") || rest.starts_with(b"Infinity") => {
            DecodeError::JsonNotFinite { line, column }
        }
        _ => DecodeError::Json(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::DEPTH_MAX;

    fn read(text: &str) -> Record {
        decode_znode(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
    }

    fn rewritten(text: &str) -> String {
        String::from_utf8(encode_znode(&read(text))).unwrap()
    }

    #[test]
    fn what_python_wrote_reads_the_same() {
        let text = r#"{"hostname": "db-01", "a": "\u00e9\ud83d\ude00\u2028", "size": 3, "f": 1.0, "n": null, "t": true, "l": [1, "2"], "o": {"x": "0"}}"#;
        let wanted = "{\"a\":\"é😀\u{2028}\",\"f\":1.0,\"hostname\":\"db-01\",\"l\":[1,\"2\"],\"n\":null,\"o\":{\"x\":\"0\"},\"size\":3,\"t\":true}";
        assert_eq!(rewritten(text), wanted);
    }

    #[test]
    fn numbers_stay_as_they_were_typed() {
        for number in [
            "0",
            "-0",
            "3",
            "3.0",
            "1.50",
            "1e+3",
            "1e+400",
            "-1.0e-7",
            "18446744073709551616",
            "0.1000000000000000055511151231257827",
            "1e+999999999",
        ] {
            let text = format!("{{\"a\":{number}}}");
            assert_eq!(rewritten(&text), text);
        }
        assert_eq!(rewritten(r#"{"a":[1e3,1E3,2E-7]}"#), r#"{"a":[1e+3,1e+3,2e-7]}"#);
    }

    #[test]
    fn only_no_bytes_at_all_are_the_empty_record() {
        assert_eq!(decode_znode(b"").unwrap(), Record::new());
        assert_eq!(decode_znode(b" {\n} ").unwrap(), Record::new());
        assert!(matches!(decode(b""), Err(DecodeError::Json(_))));
        for text in [" ", "null", "[]", "3", "\"{}\"", "[{\"a\":1}]"] {
            let refused = decode_znode(text.as_bytes());
            assert!(
                matches!(refused, Err(DecodeError::NotAnObject | DecodeError::Json(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_dropped() {
        assert_eq!(rewritten("\u{feff}{\"a\":\"\u{feff}1\"}"), "{\"a\":\"\u{feff}1\"}");
        assert_eq!(rewritten("\u{feff}\n {\"a\":1}"), "{\"a\":1}");
        assert_eq!(decode("\u{feff}{}".as_bytes()).unwrap(), Record::new());
        assert_eq!(decode_znode("\u{feff}".as_bytes()).unwrap(), Record::new());
        assert!(matches!(decode("\u{feff}".as_bytes()), Err(DecodeError::Json(_))));
        let refused = decode_znode("\u{feff}{\"a\": NaN}".as_bytes());
        assert!(matches!(refused, Err(DecodeError::JsonNotFinite { line: 1, column: 7 })));
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "{",
            "{\"a\":1",
            "{\"a\":1}x",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":01}",
            "{'a':1}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\\udc00\"}",
            "{\"\\ud83d\":1}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x41\"}",
            "{\"a\":+1}",
            "{\"a\":1.}",
            "\u{feff}\u{feff}{}",
            " \u{feff}{}",
            "{\"a\":\"",
            "{\"a\\",
        ] {
            let refused = decode_znode(text.as_bytes());
            assert!(matches!(refused, Err(DecodeError::Json(_))), "{text}: {refused:?}");
        }
        let refused = decode_znode(b"{\"a\":\"\xff\"}");
        assert!(matches!(refused, Err(DecodeError::NotUtf8(_))), "{refused:?}");
    }

    #[test]
    fn numbers_that_are_not_finite_are_refused_where_they_stand() {
        for (text, at) in [
            ("{\"a\": NaN}", (1, 7)),
            ("{\"é\":Infinity}", (1, 7)),
            ("{\"a\": [1,\n -Infinity]}", (2, 3)),
        ] {
            let refused = decode_znode(text.as_bytes());
            let Err(DecodeError::JsonNotFinite { line, column }) = refused else {
                panic!("{text}: {refused:?}")
            };
            assert_eq!((line, column), at, "{text}");
        }
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(rewritten(r#"{"a":1,"b":2,"\u0061":3}"#), r#"{"a":3,"b":2}"#);
    }

    #[test]
    fn an_object_that_poses_as_a_number_is_refused() {
        for text in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":{"a":1}}"#,
            r#"{"a":{"$serde_json::private::Number":"12"}}"#,
            r#"{"a":{"x":"","$serde_json::private::Number":"12"}}"#,
            r#"{"a":[{"$serde_json::private::Number" : "x"}]}"#,
            r#"{"a":{"\u0024serde_json::private::Number":"1"}}"#,
            r#"{"\"\\":{"$serde_json::private::N\u0075mber":"1"}}"#,
        ] {
            let refused = decode_znode(text.as_bytes());
            assert!(matches!(refused, Err(DecodeError::ReservedKey)), "{text}: {refused:?}");
        }
        for text in [
            r#"{"a":"$serde_json::private::Number"}"#,
            r#"{"a":["$serde_json::private::Number",":"]}"#,
            r#"{"a":"{\"$serde_json::private::Number\":\"1\"}"}"#,
            r#"{"$serde_json::private::RawValue":"1"}"#,
        ] {
            assert_eq!(rewritten(text), text);
        }
    }

    #[test]
    fn nesting_is_bounded_at_the_depth_of_a_record() {
        let nested = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(rewritten(&nested(DEPTH_MAX)), nested(DEPTH_MAX));
        for depth in [DEPTH_MAX + 1, 100_000] {
            let refused = decode_znode(nested(depth).as_bytes());
            assert!(matches!(refused, Err(DecodeError::TooDeep)), "{depth}: {refused:?}");
        }
    }

    #[test]
    fn the_length_is_bounded_to_the_byte() {
        let long = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(rewritten(&long(RECORD_BYTES_MAX)).len(), RECORD_BYTES_MAX);
        let refused = decode_znode(long(RECORD_BYTES_MAX + 1).as_bytes());
        assert!(matches!(refused, Err(DecodeError::TooLarge { .. })), "{refused:?}");
    }
}
