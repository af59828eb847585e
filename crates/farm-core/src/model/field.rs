//! The address of one field in a record: `mysql.replication_delay`.

use std::fmt;

use super::depth::DEPTH_MAX;

/// The keys from the top of a record down to one of its fields.
///
/// As text the keys are joined by dots. `\.` is a dot within a key, `\\` a
/// backslash, `\u{A}` the character with that number in hexadecimal, and `\u{}` no
/// character, which is how an empty key is written. Control characters are always
/// written as `\u{…}`, so a path never breaks the line it is printed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// Reads the textual form.
    ///
    /// # Errors
    ///
    /// [`FieldPathError`] for an empty key, an unknown escape, or more keys than a
    /// record can nest.
    pub fn parse(text: &str) -> Result<Self, FieldPathError> {
        let mut keys = Vec::new();
        let mut key = String::new();
        let mut is_written = false;
        let mut chars = text.chars().enumerate();
        while let Some((at, c)) = chars.next() {
            match c {
                '.' if !is_written => return Err(FieldPathError::EmptyKey { at }),
                '.' => {
                    keys.push(std::mem::take(&mut key));
                    is_written = false;
                    if keys.len() >= DEPTH_MAX {
                        return Err(FieldPathError::TooDeep { at });
                    }
                }
                '\\' => {
                    let bad = FieldPathError::BadEscape { at };
                    key.extend(unescape(&mut chars.by_ref().map(|(_, c)| c)).ok_or(bad)?);
                    is_written = true;
                }
                _ => {
                    key.push(c);
                    is_written = true;
                }
            }
        }
        if !is_written {
            return Err(FieldPathError::EmptyKey { at: text.chars().count() });
        }
        keys.push(key);
        Ok(Self(keys))
    }

    /// Takes the keys as they are; nothing in them is an escape.
    #[must_use]
    pub const fn from_keys(keys: Vec<String>) -> Self {
        Self(keys)
    }

    /// The keys, outermost first.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        &self.0
    }
}

/// Reads what follows a backslash: `None` for an unknown escape, `Some(None)` for `\u{}`.
fn unescape(rest: &mut impl Iterator<Item = char>) -> Option<Option<char>> {
    const HEX_DIGITS_MAX: usize = 6;
    match rest.next()? {
        c @ ('.' | '\\') => Some(Some(c)),
        'u' if rest.next()? == '{' => {
            let mut number = 0;
            for digits in 0..=HEX_DIGITS_MAX {
                match rest.next()? {
                    '}' if digits == 0 => return Some(None),
                    '}' => return char::from_u32(number).map(Some),
                    c if digits < HEX_DIGITS_MAX => number = number * 16 + c.to_digit(16)?,
                    _ => return None,
                }
            }
            None
        }
        _ => None,
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, key) in self.0.iter().enumerate() {
            if depth > 0 {
                f.write_str(".")?;
            }
            if key.is_empty() {
                f.write_str("\\u{}")?;
            }
            for c in key.chars() {
                match c {
                    '.' | '\\' => write!(f, "\\{c}")?,
                    _ if c.is_control() => write!(f, "\\u{{{:X}}}", u32::from(c))?,
                    _ => write!(f, "{c}")?,
                }
            }
        }
        Ok(())
    }
}

/// Why a text is not a field path. `at` counts characters from the start of the text.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum FieldPathError {
    /// A key before, between or after the dots is empty.
    #[error("a field name is missing")]
    EmptyKey {
        /// Where the key is missing.
        at: usize,
    },
    /// A backslash starts no known escape.
    #[error(r"unknown escape in a field name (known are \. \\ \u{{…}})")]
    BadEscape {
        /// Where the backslash is.
        at: usize,
    },
    /// There are more keys than a record may nest objects.
    #[error("a field has at most {DEPTH_MAX} names")]
    TooDeep {
        /// Where the first dot too many is.
        at: usize,
    },
}

impl FieldPathError {
    /// The position of the mistake, in characters from the start of the text.
    #[must_use]
    pub const fn at(&self) -> usize {
        match self {
            Self::EmptyKey { at } | Self::BadEscape { at } | Self::TooDeep { at } => *at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<String> {
        FieldPath::parse(text).unwrap().keys().to_vec()
    }

    #[test]
    fn dots_separate_keys_unless_escaped() {
        assert_eq!(keys("a"), ["a"]);
        assert_eq!(keys("mysql.replication_delay"), ["mysql", "replication_delay"]);
        assert_eq!(keys(r"a\.b.c\\"), ["a.b", r"c\"]);
        assert_eq!(keys(r"\u{}.é.\u{1F600}\u{a}"), ["", "é", "😀\n"]);
    }

    #[test]
    fn mistakes_are_refused_where_they_stand() {
        let long = "a.".repeat(DEPTH_MAX) + "a";
        for (text, wanted) in [
            ("", FieldPathError::EmptyKey { at: 0 }),
            (".a", FieldPathError::EmptyKey { at: 0 }),
            ("é..b", FieldPathError::EmptyKey { at: 2 }),
            ("a.", FieldPathError::EmptyKey { at: 2 }),
            (r"éa\n", FieldPathError::BadEscape { at: 2 }),
            (r"a\", FieldPathError::BadEscape { at: 1 }),
            (r"\u{110000}", FieldPathError::BadEscape { at: 0 }),
            (r"\u{d800}", FieldPathError::BadEscape { at: 0 }),
            (r"\u{0000041}", FieldPathError::BadEscape { at: 0 }),
            (r"\u41", FieldPathError::BadEscape { at: 0 }),
            (&long, FieldPathError::TooDeep { at: 2 * DEPTH_MAX - 1 }),
        ] {
            assert_eq!(FieldPath::parse(text), Err(wanted), "{text:?}");
        }
        assert_eq!(keys(&long[2..]).len(), DEPTH_MAX);
    }

    #[test]
    fn what_is_displayed_parses_to_the_same_keys() {
        for path in [vec!["a.b", "", r"\"], vec!["\u{0}\n\u{7f}\u{85}", "ü", "{}"], vec![""]] {
            let path = FieldPath::from_keys(path.into_iter().map(str::to_owned).collect());
            let text = path.to_string();
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert_eq!(FieldPath::parse(&text), Ok(path), "{text}");
        }
    }
}
