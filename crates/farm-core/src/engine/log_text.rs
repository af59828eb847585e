//! A log record as text.

use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use std::fmt::Write as _;

/// The fields whose values are sentences, which are quoted.
const SENTENCES: [&str; 5] = ["error", "hint", "last", "like", "why"];

/// A longer line is cut: it has foreign text in it.
const BYTES_MAX: usize = 16 << 10;

/// The message, then the fields as `key=value`.
#[must_use]
pub fn log_text(record: &Record<'_>) -> String {
    let mut fields = Fields { text: record.args().to_string(), separator: "; " };
    // Only the visitor can fail, and writing to a string never does.
    let _ = record.key_values().visit(&mut fields);
    let mut text = fields.text;
    if text.len() > BYTES_MAX {
        text.truncate(text.floor_char_boundary(BYTES_MAX));
        text.push('…');
    }
    text
}

struct Fields {
    text: String,
    separator: &'static str,
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let quote = if SENTENCES.contains(&key.as_str()) { "\"" } else { "" };
        write!(self.text, "{}{key}={quote}{value}{quote}", self.separator)?;
        self.separator = " ";
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::kv::ToValue;

    fn text(fields: &[(&str, Value<'_>)]) -> String {
        let args = format_args!("message");
        log_text(&Record::builder().args(args).key_values(&fields).build())
    }

    #[test]
    fn a_long_line_is_cut_between_two_characters() {
        for name in ["a".repeat(BYTES_MAX), "ü".repeat(BYTES_MAX), "aü".repeat(BYTES_MAX)] {
            let text = text(&[("name", name.to_value())]);
            assert!(text.len() <= BYTES_MAX + '…'.len_utf8() && text.ends_with('…'));
        }
        assert_eq!(
            text(&[("name", "a".repeat(1000).to_value())]).len(),
            "message; name=".len() + 1000
        );
    }

    #[test]
    fn fields_follow_the_message_in_their_order_and_sentences_are_quoted() {
        assert_eq!(text(&[]), "message");
        let (path, why) = ("/services/db", "no \"space\"");
        let fields = [
            ("path", path.to_value()),
            ("wait_ms", 7_u128.to_value()),
            ("why", Value::from_display(&why)),
            ("file", Value::from_debug(&path)),
        ];
        assert_eq!(
            text(&fields),
            "message; path=/services/db wait_ms=7 why=\"no \"space\"\" file=\"/services/db\""
        );
    }
}
