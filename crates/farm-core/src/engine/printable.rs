//! Untrusted text made safe for one line of output.

use std::borrow::Cow;

/// The text with its control characters escaped, so that it stays on one line and can't
/// move the cursor, colour the terminal or forge a log line.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// The character, or a replacement character for a control character: for text of limited
/// length, in which an escape would count as several characters.
#[must_use]
pub fn shown(character: char) -> char {
    if character.is_control() && character != '\t' { '\u{fffd}' } else { character }
}

// Some readers end a line at the two separators, which are no control characters.
fn is_unprintable(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
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
            ("ü 漢 😀", "ü 漢 😀"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31m", "\\u{1b}[31m"),
            ("\0\u{9b}\u{2028}", "\\u{0}\\u{9b}\\u{2028}"),
        ];
        for (text, expected) in table {
            assert_eq!(printable(text), expected);
        }
    }
}
