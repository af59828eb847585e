//! Our credentials for ZooKeeper, from `digest:user:password` lines.
//!
//! **Invariant.** Neither an error nor debug output shows any part of a line.

use super::wire::FrameBuilder;
use crate::engine::without_byte_order_mark;
use std::fmt;

/// More credentials than anyone needs; each costs a round trip on every connection.
pub const CREDENTIALS_MAX: usize = 64;

const SCHEME: &str = "digest";

/// The credentials that every server is sent, in this order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Auth(Vec<String>);

impl Auth {
    /// Parses lines like `digest:user:password`. A password may have any character except
    /// control characters; blank lines and lines that begin with `#` are skipped, and so is
    /// a byte order mark at the start.
    ///
    /// # Errors
    ///
    /// [`AuthError`] names the first wrong line.
    pub fn parse(bytes: &[u8]) -> Result<Self, AuthError> {
        let mut all = Vec::new();
        let bytes = without_byte_order_mark(bytes);
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let wrong = |fault| AuthError { line: Some(number), fault };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = std::str::from_utf8(line).map_err(|_| wrong(AuthFault::NotText))?;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            all.push(credential(line).map_err(wrong)?);
            if all.len() > CREDENTIALS_MAX {
                return Err(wrong(AuthFault::TooMany));
            }
        }
        if all.is_empty() {
            return Err(AuthError { line: None, fault: AuthFault::Empty });
        }
        Ok(Self(all))
    }

    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body of the auth request for the credential of that number, if there is one.
    pub(super) fn body(&self, number: usize) -> Option<Vec<u8>> {
        // The protocol has a type here, which servers ignore.
        const TYPE: i32 = 0;
        let credential = self.0.get(number)?;
        Some(FrameBuilder::new().int(TYPE).text(SCHEME).text(credential).finish().split_off(4))
    }
}

/// The `user:password` of a line.
fn credential(line: &str) -> Result<String, AuthFault> {
    if line.chars().any(char::is_control) {
        return Err(AuthFault::Control);
    }
    let Some((SCHEME, credential)) = line.split_once(':') else {
        return Err(AuthFault::NotDigest);
    };
    match credential.split_once(':') {
        None => Err(AuthFault::NoPassword),
        Some(("", _)) => Err(AuthFault::NoUser),
        Some((_, "")) => Err(AuthFault::NoPassword),
        Some(_) => Ok(credential.to_owned()),
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Auth({})", self.0.len())
    }
}

/// A text is not a list of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthError {
    line: Option<usize>,
    fault: AuthFault,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
enum AuthFault {
    #[error("it holds no credentials")]
    Empty,
    #[error("it is not UTF-8")]
    NotText,
    #[error("it has a control character")]
    Control,
    #[error("it does not begin with digest:")]
    NotDigest,
    #[error("the user is missing")]
    NoUser,
    #[error("the password is missing")]
    NoPassword,
    #[error("more than {CREDENTIALS_MAX} credentials")]
    TooMany,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for AuthError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::wire::Fields;

    fn credentials(auth: &Auth) -> Vec<Vec<u8>> {
        let bodies = (0..).map_while(|number| auth.body(number));
        let credential = |body: Vec<u8>| {
            let mut fields = Fields::of(&body);
            assert_eq!(fields.int(), Ok(0));
            assert_eq!(fields.buffer(), Ok(&b"digest"[..]));
            fields.buffer().unwrap().to_vec()
        };
        bodies.map(credential).collect()
    }

    #[test]
    fn every_line_is_a_credential_but_blank_ones_and_comments() {
        let table: [(&str, &[&str]); 8] = [
            ("digest:a:b", &["a:b"]),
            ("digest:a:b\n", &["a:b"]),
            ("# us\n\n  \t\ndigest:a:b\r\n#digest:x:y\ndigest:c:d\n\n", &["a:b", "c:d"]),
            // Everything behind the second colon is the password, blanks included.
            ("digest:a:b:c # d \n", &["a:b:c # d "]),
            ("digest:ä:ö€\u{1f511}", &["ä:ö€\u{1f511}"]),
            ("digest: a : b", &[" a : b"]),
            // With the byte order mark of an editor.
            ("\u{feff}digest:a:b\r\n", &["a:b"]),
            ("\u{feff}# us\ndigest:a:\u{feff}b", &["a:\u{feff}b"]),
        ];
        for (text, expected) in table {
            let auth = Auth::parse(text.as_bytes()).unwrap();
            let expected: Vec<Vec<u8>> = expected.iter().map(|c| c.as_bytes().to_vec()).collect();
            assert_eq!(credentials(&auth), expected, "{text:?}");
        }
        assert_eq!(credentials(&Auth::default()), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_bad_line_is_named_and_not_shown() {
        let many = "digest:secret:secret\n".repeat(CREDENTIALS_MAX + 1);
        let table: [(&[u8], &str); 13] = [
            (b"", "it holds no credentials"),
            (b"\n# secret\n", "it holds no credentials"),
            (b"secret", "line 1: it does not begin with digest:"),
            (b"secret:secret", "line 1: it does not begin with digest:"),
            (b"digest:a:b\n digest:secret:secret", "line 2: it does not begin with digest:"),
            (b"#\n\xef\xbb\xbfdigest:secret:secret", "line 2: it does not begin with digest:"),
            (b"world:secret:secret", "line 1: it does not begin with digest:"),
            (b"\ndigest:secret", "line 2: the password is missing"),
            (b"digest:secret:", "line 1: the password is missing"),
            (b"digest::secret", "line 1: the user is missing"),
            (b"digest:secret:\xff", "line 1: it is not UTF-8"),
            (b"digest:a:secret\0", "line 1: it has a control character"),
            (many.as_bytes(), "line 65: more than 64 credentials"),
        ];
        for (text, message) in table {
            let error = Auth::parse(text).unwrap_err();
            assert_eq!(error.to_string(), message);
            assert!(!format!("{error:?} {error:#?}").contains("secret"));
        }
    }

    #[test]
    fn debug_shows_how_many_and_nothing_else() {
        let auth = Auth::parse(b"digest:secret:secret\ndigest:secret:secret").unwrap();
        assert_eq!(format!("{auth:?} {auth:#?}"), "Auth(2) Auth(2)");
    }
}
