//! How the bytes of a znode are read as a record. Nobody guesses: the user says it.
//!
//! **Invariant.** Bytes that are not what the user says are an error, never an empty record.

use super::bounds::{RECORD_BYTES_MAX, VALUES_MAX};
use super::error::DecodeError;
use super::json::decode_znode;
use crate::engine::without_byte_order_mark;
use crate::model::{Map, PARSED_BYTES_MAX, PackedRecord, Record, Value};
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// How the bytes of a znode are read as a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Parse {
    /// A JSON object; no bytes are the empty record.
    #[default]
    Json,
    /// Text: a record with the field `text`.
    Text,
    /// Lines with `key=value` or `key: value`: a record of texts.
    KeyValue,
    /// Not at all: the empty record. The znode is not even read.
    None,
}

impl Parse {
    /// All ways, with their names.
    pub const ALL: [(&str, Self); 4] = [
        ("json", Self::Json),
        ("text", Self::Text),
        ("keyvalue", Self::KeyValue),
        ("none", Self::None),
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, parse)| *parse == self);
        named.map_or("", |(name, _)| name)
    }

    /// Reads the bytes of a znode.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the bytes are something else, or exceed a bound.
    pub fn decode(self, bytes: &[u8]) -> Result<Record, DecodeError> {
        match self {
            Self::Json => decode_znode(bytes),
            Self::Text => Ok(Record::from_map(Map::from_iter([("text".to_owned(), text(bytes)?)]))),
            Self::KeyValue => key_value(bytes),
            Self::None => Ok(Record::new()),
        }
    }

    /// As [`Parse::decode`], with a hint about bytes that are something else.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the bytes are something else, or exceed a bound.
    pub fn read(self, bytes: &[u8]) -> Result<Record, Malformed> {
        let malformed = |error| Malformed { error, other_way: self.other_way(bytes) };
        self.decode(bytes).map_err(malformed)
    }

    /// [`Parse::read`] for many znodes that are kept. Also returns how many bytes of data are kept.
    #[must_use]
    pub const fn decoder(self) -> fn(Vec<u8>) -> (Decoded, usize) {
        match self {
            Self::Json => |bytes| keep(Self::Json, &bytes),
            Self::Text => |bytes| keep(Self::Text, &bytes),
            Self::KeyValue => |bytes| keep(Self::KeyValue, &bytes),
            Self::None => |bytes| keep(Self::None, &bytes),
        }
    }

    /// Another way in which the bytes can be read. A JSON object with a mistake is no other text.
    fn other_way(self, bytes: &[u8]) -> Option<Self> {
        if bytes.trim_ascii_start().starts_with(b"{") {
            return Some(Self::Json).filter(|way| *way != self && way.decode(bytes).is_ok());
        }
        let is_way = |way: &Self| match way {
            Self::KeyValue => has_clear_pairs(bytes),
            Self::Text => !bytes.is_empty() && text(bytes).is_ok(),
            Self::Json | Self::None => false,
        };
        [Self::KeyValue, Self::Text].into_iter().find(|way| *way != self && is_way(way))
    }
}

impl FromStr for Parse {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, ParseNameError> {
        let named = Self::ALL.iter().find(|(name, _)| *name == text);
        named.map(|(_, parse)| *parse).ok_or(ParseNameError)
    }
}

/// A text that names no way to read bytes.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("it must be json, text, keyvalue or none")]
pub struct ParseNameError;

/// The record of a znode, or why it has none; it can be cloned, and takes little memory.
pub type Decoded = Result<PackedRecord, Arc<Malformed>>;

/// Bytes that are not what the user says they are.
#[derive(Debug)]
pub struct Malformed {
    /// What is wrong with them.
    pub error: DecodeError,
    /// Another way in which they can be read.
    other_way: Option<Parse>,
}

impl Malformed {
    /// The option that would read them, for the user, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        self.other_way.map(|way| format!("--parse {} would read it", way.name()))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Malformed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

fn keep(parse: Parse, bytes: &[u8]) -> (Decoded, usize) {
    let decoded = parse.read(bytes).map(PackedRecord::from).map_err(Arc::new);
    // As JSON, pairs can be longer than they were.
    let as_json = |record: &PackedRecord| match record.bytes() {
        ..=PARSED_BYTES_MAX => bytes.len(),
        kept => kept.max(bytes.len()),
    };
    let kept = decoded.as_ref().map_or(0, as_json);
    (decoded, kept)
}

fn utf8(bytes: &[u8]) -> Result<&str, DecodeError> {
    let bytes = without_byte_order_mark(bytes);
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(DecodeError::TooLarge { bytes_max: RECORD_BYTES_MAX });
    }
    std::str::from_utf8(bytes).map_err(DecodeError::NotUtf8)
}

/// Text without the blanks around it.
fn text(bytes: &[u8]) -> Result<Value, DecodeError> {
    let text = utf8(bytes)?;
    no_control(text, |c| matches!(c, '\t' | '\n' | '\r'))?;
    Ok(Value::from(text.trim()))
}

fn no_control(text: &str, is_allowed: impl Fn(char) -> bool) -> Result<(), DecodeError> {
    match text.chars().find(|c| c.is_control() && !is_allowed(*c)) {
        Some(character) => Err(DecodeError::Control { character }),
        None => Ok(()),
    }
}

/// `key=value` or `key: value`, in lines or, if there is one line, between semicolons.
fn key_value(bytes: &[u8]) -> Result<Record, DecodeError> {
    let text = utf8(bytes)?;
    let is_one_line = text.trim().lines().count() <= 1;
    let pieces: Vec<&str> =
        if is_one_line { text.split(';').collect() } else { text.lines().collect() };
    let mut fields = Map::new();
    for (at, piece) in pieces.into_iter().map(str::trim).enumerate() {
        if piece.is_empty() || piece.starts_with('#') {
            continue;
        }
        let no_pair = || DecodeError::NoPair { number: at + 1 };
        let (key, value) = piece.split_once(['=', ':']).ok_or_else(no_pair)?;
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() {
            return Err(no_pair());
        }
        no_control(piece, |c| c == '\t')?;
        fields.insert(key.to_owned(), Value::from(value));
        if fields.len() > VALUES_MAX {
            return Err(DecodeError::TooManyValues { values_max: VALUES_MAX });
        }
    }
    Ok(Record::from_map(fields))
}

/// Whether the bytes are pairs rather than an address or a URL, which has a colon too.
fn has_clear_pairs(bytes: &[u8]) -> bool {
    let is_key = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
    };
    let is_pair = |(key, value): (&String, &Value)| {
        is_key(key) && !value.as_str().unwrap_or_default().starts_with("//")
    };
    key_value(bytes).is_ok_and(|record| {
        let fields = record.as_map();
        (fields.len() > 1 || bytes.contains(&b'=')) && fields.iter().all(is_pair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(parse: Parse, bytes: &[u8]) -> Result<Value, String> {
        let record = parse.decode(bytes).map_err(|error| error.to_string())?;
        let (kept, _) = parse.decoder()(bytes.to_vec());
        assert_eq!(*kept.unwrap().unpack(), record);
        Ok(Value::Object(record.into_map()))
    }

    #[test]
    fn every_way_has_a_name() {
        for (name, parse) in Parse::ALL {
            assert_eq!((name.parse(), parse.name()), (Ok(parse), name));
        }
        assert_eq!("JSON".parse::<Parse>(), Err(ParseNameError));
        assert_eq!(Parse::default(), Parse::Json);
    }

    #[test]
    fn text_is_one_field_without_the_blanks_around_it() {
        for (bytes, text) in [
            (&b"10.0.4.1:9000"[..], "10.0.4.1:9000"),
            (b"  web-1\tup \r\n", "web-1\tup"),
            ("\u{feff}\u{e9}".as_bytes(), "\u{e9}"),
            (b"{\"a\":1}", "{\"a\":1}"),
            (b"two\nlines", "two\nlines"),
            (b"", ""),
        ] {
            assert_eq!(parsed(Parse::Text, bytes), Ok(json!({ "text": text })), "{bytes:?}");
        }
        let control = |number: u32| Err(format!("the control character U+{number:04X}"));
        assert_eq!(parsed(Parse::Text, b"a\0b"), control(0));
        assert_eq!(parsed(Parse::Text, b"\x1b[2J"), control(0x1b));
        assert_eq!(parsed(Parse::Text, "a\u{85}b".as_bytes()), control(0x85));
        assert_eq!(parsed(Parse::Text, b"\xac\xed\0\x05"), Err("not UTF-8".to_owned()));
        let long = vec![b'a'; RECORD_BYTES_MAX + 1];
        assert!(parsed(Parse::Text, &long).is_err());
        assert!(parsed(Parse::Text, &long[1..]).is_ok());
    }

    #[test]
    fn pairs_are_lines_or_stand_between_semicolons() {
        let clickhouse = "host: ch-1\nport: 9009\ntcp_port: 9000\ndatabase: default\n";
        let hive = "hive.server2.thrift.port=10000;hive.server2.transport.mode=http";
        for (text, record) in [
            (
                clickhouse,
                json!({"host": "ch-1", "port": "9009", "tcp_port": "9000", "database": "default"}),
            ),
            (
                hive,
                json!({
                    "hive.server2.thrift.port": "10000", "hive.server2.transport.mode": "http"
                }),
            ),
            ("url=http://a:80/?x=1", json!({"url": "http://a:80/?x=1"})),
            ("url: http://a:80/?x=1\r\nb = c ", json!({"url": "http://a:80/?x=1", "b": "c"})),
            ("# a comment\n\n a=1\n  # b=2\na=3\ne=\n", json!({"a": "3", "e": ""})),
            ("a=1;b=2\nc=3", json!({"a": "1;b=2", "c": "3"})),
            (" a=1; b: 2 ;; \n", json!({"a": "1", "b": "2"})),
            ("\u{feff}a=1", json!({"a": "1"})),
            ("", json!({})),
            ("# nothing", json!({})),
        ] {
            assert_eq!(parsed(Parse::KeyValue, text.as_bytes()), Ok(record), "{text:?}");
        }
        for (text, error) in [
            ("a=1\nnonsense\n", "line or part 2 has neither = nor :, or nothing before it"),
            ("=1", "line or part 1 has neither = nor :, or nothing before it"),
            ("a=1;b", "line or part 2 has neither = nor :, or nothing before it"),
            ("a=1\x07", "the control character U+0007"),
        ] {
            assert_eq!(parsed(Parse::KeyValue, text.as_bytes()), Err(error.to_owned()), "{text:?}");
        }
        let many: Vec<String> = (0..=VALUES_MAX).map(|n| format!("k{n}=")).collect();
        assert!(Parse::KeyValue.decode(many.join("\n").as_bytes()).is_err());
        assert!(Parse::KeyValue.decode(many[1..].join("\n").as_bytes()).is_ok());
    }

    #[test]
    fn nothing_is_an_empty_record_whatever_the_bytes_are() {
        for bytes in [&b""[..], b"\xff", b"{\"a\":1}"] {
            assert_eq!(parsed(Parse::None, bytes), Ok(json!({})));
        }
    }

    #[test]
    fn a_hint_names_a_way_that_works() {
        for (parse, bytes, way) in [
            (Parse::Json, &b"10.0.4.1"[..], Some(Parse::Text)),
            (Parse::Json, b"db-1:5432", Some(Parse::Text)),
            (Parse::Json, b"http://a/?b=1", Some(Parse::Text)),
            (Parse::Json, b"[1]", Some(Parse::Text)),
            (Parse::Json, b"{\"a\":", None),
            (Parse::Json, b"host=a", Some(Parse::KeyValue)),
            (Parse::Json, b"host: a\nport: 1", Some(Parse::KeyValue)),
            (Parse::Json, b"\xff", None),
            (Parse::Json, b"", None),
            (Parse::KeyValue, b"{\"a\"\n:1}", Some(Parse::Json)),
            (Parse::Text, b"\0", None),
        ] {
            let other_way = parse.read(bytes).err().and_then(|malformed| malformed.other_way);
            assert_eq!(other_way, way, "{parse:?} {bytes:?}");
        }
    }
}
