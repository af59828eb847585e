//! The byte order mark, with which some editors begin every file.

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes without the byte order mark at their start, if they have one.
#[must_use]
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mark_is_dropped_and_only_at_the_start() {
        for (text, rest) in [
            ("", ""),
            ("\u{feff}", ""),
            ("\u{feff}a", "a"),
            ("\u{feff}\u{feff}a", "\u{feff}a"),
            (" \u{feff}a", " \u{feff}a"),
            ("a\u{feff}", "a\u{feff}"),
        ] {
            assert_eq!(without_byte_order_mark(text.as_bytes()), rest.as_bytes(), "{text:?}");
        }
        // A part of a mark is none.
        assert_eq!(without_byte_order_mark(b"\xef\xbb"), b"\xef\xbb");
    }
}
