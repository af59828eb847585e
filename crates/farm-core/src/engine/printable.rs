//! Untrusted text made safe for a terminal, and for one line of output.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with its control characters escaped, so that it stays on one line and can't
/// move the cursor, colour the terminal, reorder what is read or forge a log line.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_unprintable)
}

/// The text on one line for a program to read: only what a reader could take for the end of the
/// line, or act on, is escaped.
#[must_use]
pub fn single_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_control)
}

/// Bytes of one or more lines for a terminal: as [`printable`], but line ends and tabs stay, and
/// what is not UTF-8 is escaped too.
#[must_use]
pub fn printable_lines(bytes: &[u8]) -> Cow<'_, [u8]> {
    let is_layout = |c| matches!(c, '\n' | '\t');
    let is_escaped = |c: char| is_unprintable(c) && !is_layout(c);
    if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains(is_escaped)) {
        return Cow::Borrowed(bytes);
    }
    let mut lines = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        lines.push_str(&escaped(chunk.valid(), is_escaped));
        for byte in chunk.invalid() {
            // Writing to a string never fails.
            let _ = write!(lines, "\\x{byte:02x}");
        }
    }
    Cow::Owned(lines.into_bytes())
}

/// The character, or a replacement character for one that [`printable`] escapes: for text of
/// limited length, in which an escape would count as several characters.
#[must_use]
pub fn shown(character: char) -> char {
    if is_unprintable(character) && character != '\t' { '\u{fffd}' } else { character }
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

// Some readers end a line at the two separators, which are no control characters.
fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Whether a terminal acts on the character in place of showing it: a control character, a line
/// end beyond ASCII, or one that changes the direction in which the text around it is shown.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    is_control(character)
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        let table = [
            ("", ""),
            ("plain", "plain"),
            ("back\\slash", "back\\slash"),
            ("ü 漢 😀 שלום", "ü 漢 😀 שלום"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\0\u{9b}\u{2028}", "\\u{0}\\u{9b}\\u{2028}"),
        ];
        for (text, expected) in table {
            assert_eq!(printable(text), expected);
            assert_eq!(single_line(text), expected);
        }
    }

    #[test]
    fn what_reorders_text_is_escaped_for_people_and_not_for_programs() {
        let text = "a\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}b";
        let wanted = r"a\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}b";
        assert_eq!(printable(text), wanted);
        assert_eq!(single_line(text), text);
        // Joiners belong to words and to emoji.
        assert_eq!(printable("a\u{200c}b\u{200d}c"), "a\u{200c}b\u{200d}c");
    }

    #[test]
    fn lines_for_a_terminal_keep_their_ends_and_nothing_else_that_acts() {
        let table: [(&[u8], &[u8]); 6] = [
            (b"a\tb\nc", b"a\tb\nc"),
            (b"", b""),
            (b"a\rb\r\n", b"a\\rb\\r\n"),
            (b"\x1b]0;x\x07\n", b"\\u{1b}]0;x\\u{7}\n"),
            ("\u{9b}31m\u{202e}ü\0\n".as_bytes(), "\\u{9b}31m\\u{202e}ü\\u{0}\n".as_bytes()),
            (b"caf\xe9\x9b31m\n\xc3", b"caf\\xe9\\x9b31m\n\\xc3"),
        ];
        for (bytes, expected) in table {
            assert_eq!(printable_lines(bytes), expected);
        }
    }

    #[test]
    fn in_text_of_limited_length_one_character_is_replaced_by_one() {
        let text: String = "a\tb\u{1b}\u{9b}\u{202e}\u{2028}\nc".chars().map(shown).collect();
        assert_eq!(text, "a\tb\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}c");
    }
}
