//! The access list of the znodes that we create.
//!
//! **Invariant.** An access list has at least one entry: a server refuses to create a
//! znode with an empty one.

const PERMISSIONS: [(char, i32); 5] = [('c', 4), ('d', 8), ('r', 1), ('w', 2), ('a', 16)];
const ALL: i32 = 31;
const READ: i32 = 1;

/// The shortest digest that servers use is SHA-1, and digests are base64.
const DIGEST_CHARS_LEAST: usize = 28;

/// An access list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acl(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) scheme: String,
    pub(super) id: String,
    pub(super) permissions: i32,
}

impl Entry {
    fn new(scheme: &str, id: &str, permissions: i32) -> Self {
        Self { scheme: scheme.to_owned(), id: id.to_owned(), permissions }
    }
}

impl Default for Acl {
    fn default() -> Self {
        Self::open()
    }
}

impl Acl {
    /// Everyone may do everything.
    #[must_use]
    pub fn open() -> Self {
        Self(vec![Entry::new("world", "anyone", ALL)])
    }

    /// Parses `open`, `creator`, `creator+read`, or `scheme:id:perms` entries separated by
    /// commas. An id may have colons in it, and commas if what follows the comma is not
    /// an entry by itself.
    ///
    /// # Errors
    ///
    /// [`AclError`] with the piece that is wrong.
    pub fn parse(text: &str) -> Result<Self, AclError> {
        let creator = || Entry::new("auth", "", ALL);
        match text {
            "open" => return Ok(Self::open()),
            "creator" => return Ok(Self(vec![creator()])),
            "creator+read" => {
                return Ok(Self(vec![creator(), Entry::new("world", "anyone", READ)]));
            }
            _ => {}
        }
        pieces(text).into_iter().map(entry).collect::<Result<_, _>>().map(Self)
    }

    /// Tells whether it gives rights to the creator of the znode. A server refuses such a
    /// list on a connection without credentials.
    #[must_use]
    pub fn needs_credentials(&self) -> bool {
        self.0.iter().any(|entry| entry.scheme == "auth")
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.0
    }
}

/// Splits at the commas, but only where the piece before the comma is an entry.
fn pieces(text: &str) -> Vec<&str> {
    let is_whole = |piece: &str| piece.matches(':').count() >= 2;
    let (mut pieces, mut start) = (Vec::new(), 0);
    for (comma, _) in text.match_indices(',') {
        if is_whole(&text[start..comma]) {
            pieces.push(&text[start..comma]);
            start = comma + 1;
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn entry(piece: &str) -> Result<Entry, AclError> {
    let wrong = |fault| AclError { piece: without_secret(piece), fault };
    // Neither the scheme nor the permissions have a colon: all between them is the id.
    let ends = piece.split_once(':').zip(piece.rsplit_once(':'));
    let Some(((scheme, _), (front, letters))) = ends else {
        return Err(wrong(AclFault::Form));
    };
    let Some(id) = front.strip_prefix(scheme).and_then(|rest| rest.strip_prefix(':')) else {
        return Err(wrong(AclFault::Form));
    };
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    if scheme.is_empty() || !scheme.chars().all(is_name) {
        return Err(wrong(AclFault::Form));
    }
    match (scheme, id) {
        ("world", "anyone") | ("auth", "") => {}
        ("digest", id) if !is_digest(id) => return Err(wrong(AclFault::NoHash)),
        ("world", _) => return Err(wrong(AclFault::World)),
        ("auth", _) => return Err(wrong(AclFault::Auth)),
        (_, "") => return Err(wrong(AclFault::Form)),
        _ => {}
    }
    let mut permissions = 0;
    for letter in letters.chars() {
        let known = PERMISSIONS.iter().find(|(known, _)| *known == letter);
        let (_, bit) = known.ok_or_else(|| wrong(AclFault::Letter(letter)))?;
        permissions |= bit;
    }
    if permissions == 0 {
        return Err(wrong(AclFault::NoLetters));
    }
    Ok(Entry::new(scheme, id, permissions))
}

/// The piece without what follows `digest:`, which may be a password instead of its hash.
fn without_secret(piece: &str) -> String {
    const SECRET: &str = "digest:";
    piece
        .find(SECRET)
        .map_or_else(|| piece.to_owned(), |at| format!("{}…", &piece[..at + SECRET.len()]))
}

fn is_digest(id: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    id.split_once(':').is_some_and(|(user, hash)| {
        let is_long = hash.len() >= DIGEST_CHARS_LEAST && hash.len().is_multiple_of(4);
        !user.is_empty() && is_long && hash.bytes().all(is_base64)
    })
}

/// A text is not an access list.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("not an access list: {piece:?}: {fault}")]
pub struct AclError {
    piece: String,
    fault: AclFault,
}

#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
enum AclFault {
    #[error("it is neither open, creator, creator+read nor like scheme:id:perms")]
    Form,
    #[error("the only id of the scheme world is anyone")]
    World,
    #[error("the id of the scheme auth must be empty, as in auth::cdrwa")]
    Auth,
    #[error("the id must be user:hash, never the password")]
    NoHash,
    #[error("the permissions are missing, letters of cdrwa")]
    NoLetters,
    #[error("{0:?} is not a permission; the permissions are letters of cdrwa")]
    Letter(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ANVnn8pVVV/EcZMN0aRkVV1RRhk=";

    fn text_of(acl: &Acl) -> String {
        let one = |e: &Entry| format!("{}|{}|{}", e.scheme, e.id, e.permissions);
        acl.entries().iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_and_lists_become_entries() {
        let digest = format!("digest:bob:{HASH}:cdrwa");
        let both = format!("{digest},auth::cdrw,ip:10.0.0.0/8:r");
        let table = [
            ("open", "world|anyone|31".to_owned()),
            ("creator", "auth||31".to_owned()),
            ("creator+read", "auth||31 world|anyone|1".to_owned()),
            ("world:anyone:r", "world|anyone|1".to_owned()),
            ("auth::awrdc", "auth||31".to_owned()),
            ("auth::rr", "auth||1".to_owned()),
            (&digest, format!("digest|bob:{HASH}|31")),
            (&both, format!("digest|bob:{HASH}|31 auth||15 ip|10.0.0.0/8|1")),
            ("ip:fd00::1:w,world:anyone:a", "ip|fd00::1|2 world|anyone|16".to_owned()),
            ("sasl:bob/host@REALM:rw", "sasl|bob/host@REALM|3".to_owned()),
            ("x509:CN=a,OU=b,O=c:r,auth::c", "x509|CN=a,OU=b,O=c|1 auth||4".to_owned()),
        ];
        for (text, entries) in table {
            assert_eq!(text_of(&Acl::parse(text).unwrap()), entries, "{text}");
        }
        assert_eq!(Acl::default(), Acl::parse("open").unwrap());
    }

    #[test]
    fn a_mistake_names_its_piece() {
        let table = [
            ("", "\"\": it is neither"),
            ("closed", "\"closed\": it is neither"),
            ("Creator", "\"Creator\": it is neither"),
            ("creator,world:anyone:r", "\"creator,world:anyone:r\": it is"),
            ("world:anyone", "\"world:anyone\": it is neither"),
            ("auth::r,world:anyone", "\"world:anyone\": it is neither"),
            ("auth::r,", "\"\": it is neither"),
            (":x:r", "\":x:r\": it is neither"),
            ("ip::r", "\"ip::r\": it is neither"),
            ("world:everyone:r", "\"world:everyone:r\": the only id"),
            ("auth:bob:r", "\"auth:bob:r\": the id of the scheme auth must be empty"),
            ("auth::r,world:anyone:", "\"world:anyone:\": the permissions"),
            ("auth::r,world:anyone:rx", "\"world:anyone:rx\": 'x' is not a permission"),
            ("world:anyone:R,auth::r", "\"world:anyone:R\": 'R' is not a permission"),
            ("world:anyone: r", "\"world:anyone: r\": ' ' is not a permission"),
        ];
        for (text, message) in table {
            let error = Acl::parse(text).unwrap_err().to_string();
            let start = format!("not an access list: {message}");
            assert!(error.starts_with(&start), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_place_of_its_hash_is_not_shown() {
        for text in [
            "digest:bob:secret:cdrwa",
            "digest:secret:cdrwa",
            "digest:bob:secret",
            "digest:bob:a much longer secret that is no hash:r",
            "digest:secret:ANVnn8pVVV/EcZMN0aRkVV1RRhk:r",
            "auth::r,digest:bob:secret:x",
            "creator,digest:bob:secret:r",
        ] {
            let error = Acl::parse(text).unwrap_err();
            assert!(error.to_string().contains("digest:…"), "{error}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }

    #[test]
    fn the_creator_needs_credentials() {
        for (text, needs) in [
            ("open", false),
            ("creator", true),
            ("creator+read", true),
            ("world:anyone:r,auth::w", true),
            ("ip:127.0.0.1:r", false),
        ] {
            assert_eq!(Acl::parse(text).unwrap().needs_credentials(), needs, "{text}");
        }
    }

    #[test]
    fn random_texts_never_panic() {
        let mut rng = fastrand::Rng::with_seed(11);
        let letters: Vec<char> = "auth:world:anyone,digest,ip:creator+rä=/€".chars().collect();
        for _ in 0..20_000 {
            let text: String =
                (0..rng.usize(..24)).map(|_| letters[rng.usize(..letters.len())]).collect();
            if let Ok(acl) = Acl::parse(&text) {
                assert!(!acl.entries().is_empty());
            }
        }
    }
}
