//! How large a record may be.
//!
//! A few bytes of text can cost hundreds, in memory when they are parsed and on the disk when they
//! are written, so the text is measured before it is parsed.
//!
//! **Invariant.** A record within these bounds takes at most ten megabytes when it is parsed. As
//! text for people it is at most [`INDENT_FACTOR`] times longer than as JSON on one line, plus
//! [`INDENT_FREE`], apart from escapes.

use super::error::DecodeError;
use crate::model::DEPTH_MAX;

/// The most bytes of a record: what ZooKeeper accepts by default.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// The most values of a record, which are also the most files and directories that it can become.
/// Objects and lists count too.
pub const VALUES_MAX: usize = 10_000;

/// How much longer than its text a record may be made by indentation.
pub(super) const INDENT_FACTOR: usize = 4;
/// Indentation that is always allowed: a record of the greatest depth needs as much.
pub(super) const INDENT_FREE: usize = 32 << 10;

/// Checks the bounds of a record's JSON, apart from its length.
///
/// Of text that is not JSON it may accept anything.
pub(super) fn check(text: &str) -> Result<(), DecodeError> {
    let indent_max = INDENT_FREE + INDENT_FACTOR * text.len();
    let mut size = Size::default();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b':' => {}
            b'{' | b'[' => size.begin(),
            b'}' | b']' => size.end(),
            b',' => size.awaits_value = true,
            b'"' => {
                size.value();
                while let Some(byte) = bytes.next()
                    && byte != b'"'
                {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            _ => size.value(),
        }
        if size.depth > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        if size.values > VALUES_MAX {
            return Err(DecodeError::TooManyValues { values_max: VALUES_MAX });
        }
        if size.indent > indent_max {
            return Err(DecodeError::TooIndented { factor: INDENT_FACTOR });
        }
    }
    Ok(())
}

/// The size of the text so far.
#[derive(Debug, Default)]
struct Size {
    depth: usize,
    values: usize,
    /// Line ends and blanks in front of lines, in the file of a farm.
    indent: usize,
    /// The next character that is not a blank begins a value, or the key of one.
    awaits_value: bool,
}

impl Size {
    /// A value, a key, or another character of one.
    const fn value(&mut self) {
        if self.awaits_value {
            self.awaits_value = false;
            self.values += 1;
            self.indent += 2 * self.depth + 4;
        }
    }

    const fn begin(&mut self) {
        self.value();
        self.depth += 1;
        self.awaits_value = true;
    }

    const fn end(&mut self) {
        if !self.awaits_value {
            self.indent += 2 * self.depth + 1;
        }
        self.awaits_value = false;
        self.depth = self.depth.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> usize {
        let mut low = 0;
        // The count is that of the shortest list which is one value too many together with it.
        while low <= VALUES_MAX {
            let rest = VALUES_MAX - low;
            let filler = vec!["0"; rest].join(",");
            if check(&format!("[{text},{filler}]")).is_ok() {
                return low;
            }
            low += 1;
        }
        low
    }

    #[test]
    fn every_value_counts_once_and_what_is_in_a_text_does_not() {
        for (text, count) in [
            ("0", 1),
            ("-1.5e+3", 1),
            ("null", 1),
            (r#""a,b[{\",\\""#, 1),
            ("[]", 1),
            ("{ }", 1),
            ("[ 1 , 2 ]", 3),
            (r#"{"a":1}"#, 2),
            (r#"{"a":[],"b":{},"c":"x"}"#, 4),
            (r#"{"a,\"":{"b":[1,[2]]}}"#, 6),
        ] {
            assert_eq!(values(text), count, "{text}");
        }
    }

    #[test]
    fn the_bounds_are_exact() {
        let fields = |count: usize| {
            let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":\"\"")).collect();
            format!("{{{}}}", fields.join(","))
        };
        check(&fields(1000)).unwrap();
        check(&fields(VALUES_MAX)).unwrap();
        assert!(matches!(check(&fields(VALUES_MAX + 1)), Err(DecodeError::TooManyValues { .. })));
    }

    #[test]
    fn text_that_would_become_mostly_blanks_is_refused() {
        let nested = |depth: usize, inner: &str| {
            format!("{}{inner}{}", "{\"a\":".repeat(depth), "}".repeat(depth))
        };
        check(&nested(DEPTH_MAX, "1")).unwrap();
        assert!(matches!(check(&nested(DEPTH_MAX, "[]")), Err(DecodeError::TooDeep)));
        let digits = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        check(&nested(1, &digits(VALUES_MAX - 1))).unwrap();
        let refused = check(&nested(DEPTH_MAX - 1, &digits(VALUES_MAX / 2)));
        assert!(matches!(refused, Err(DecodeError::TooIndented { .. })), "{refused:?}");
    }

    #[test]
    fn text_that_is_not_json_does_no_harm() {
        for text in ["", "}}}}", "\"", "\"\\", "{\"a", "]]][", ",,,", "{]"] {
            check(text).unwrap();
        }
    }
}
