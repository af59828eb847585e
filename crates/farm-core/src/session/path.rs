//! The path of a znode.
//!
//! **Invariant.** ZooKeeper accepts every [`ZnodePath`], so no caller has to care what a
//! server does with `//` or `..`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest path that is accepted, in bytes; a longer one is a mistake.
pub const PATH_BYTES_MAX: usize = 4096;

/// An absolute path of a znode: `/` or `/services/db`, without a trailing slash. A
/// clone is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZnodePath(Arc<str>);

impl ZnodePath {
    /// The path `/`.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Parses a path.
    ///
    /// # Errors
    ///
    /// If ZooKeeper would refuse the path; the error says why.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let refuse = |fault| Err(PathError { path: shortened(text), fault });
        if text.len() > PATH_BYTES_MAX {
            return refuse(PathFault::TooLong { bytes: text.len() });
        }
        let Some(below_root) = text.strip_prefix('/') else {
            return refuse(PathFault::NotAbsolute);
        };
        if below_root.is_empty() {
            return Ok(Self::root());
        }
        if below_root.ends_with('/') {
            return refuse(PathFault::TrailingSlash);
        }
        for component in below_root.split('/') {
            if let Err(fault) = check_component(component) {
                return refuse(fault);
            }
        }
        Ok(Self(text.into()))
    }

    /// The path of the child with that name.
    ///
    /// # Errors
    ///
    /// If no znode can have that name: it is empty, has a slash in it, is a dot component,
    /// or has a character that ZooKeeper refuses.
    pub fn child(&self, name: &str) -> Result<Self, PathError> {
        let refuse = |fault| Err(PathError { path: shortened(name), fault });
        let bytes = self.0.len() + 1 + name.len();
        if bytes > PATH_BYTES_MAX {
            return refuse(PathFault::TooLong { bytes });
        }
        if name.contains('/') {
            return refuse(PathFault::SlashInName);
        }
        if let Err(fault) = check_component(name) {
            return refuse(fault);
        }
        let parent = if self.is_root() { "" } else { &self.0 };
        Ok(Self(format!("{parent}/{name}").into()))
    }

    /// Converts a path of the server into one of a client whose chroot is this path;
    /// `None` if it is outside of the chroot.
    pub(super) fn within(&self, path: &str) -> Option<Self> {
        let path = if self.is_root() { path } else { path.strip_prefix(&*self.0)? };
        Self::parse(if path.is_empty() { "/" } else { path }).ok()
    }

    /// The path on the server, for a client with this chroot.
    pub(super) fn below(&self, chroot: &Self) -> Self {
        match (chroot.is_root(), self.is_root()) {
            (true, _) => self.clone(),
            (false, true) => chroot.clone(),
            (false, false) => Self(format!("{chroot}{self}").into()),
        }
    }

    /// The path one level up; the root has none.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/')? {
            (_, "") => None,
            ("", _) => Some(Self::root()),
            (parent, _) => Some(Self(parent.into())),
        }
    }

    /// The path relative to `top`, without a slash at either end; empty if this is `top`,
    /// `None` if this is not below it.
    #[must_use]
    pub fn below_or_at(&self, top: &Self) -> Option<&str> {
        let rest = if top.is_root() { &self.0[..] } else { self.0.strip_prefix(&*top.0)? };
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// The last component; the root has none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(_, name)| name).filter(|name| !name.is_empty())
    }

    /// The path as ZooKeeper writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is this `/`?
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }
}

impl Borrow<str> for ZnodePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ZnodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_component(component: &str) -> Result<(), PathFault> {
    if component.is_empty() {
        return Err(PathFault::EmptyComponent);
    }
    if matches!(component, "." | "..") {
        return Err(PathFault::DotComponent);
    }
    match component.chars().find(|&character| is_refused(character)) {
        Some(character) => Err(PathFault::Character(character)),
        None => Ok(()),
    }
}

// ZooKeeper checks UTF-16 units: everything from U+10000 on is a pair of surrogates, which
// it refuses together with the private use area.
const fn is_refused(character: char) -> bool {
    matches!(
        character,
        '\u{0}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fff0}'..='\u{ffff}'
            | '\u{10000}'..='\u{10ffff}'
    )
}

fn shortened(text: &str) -> String {
    const SHOWN_MAX: usize = 100;
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text is not the path of a znode.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{path:?} is not a znode path: {fault}")]
pub struct PathError {
    path: String,
    fault: PathFault,
}

impl PathError {
    /// What is wrong with the text.
    #[must_use]
    pub const fn fault(&self) -> PathFault {
        self.fault
    }
}

/// What is wrong with a text that should be a path.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum PathFault {
    /// It does not start with a slash.
    #[error("it must start with a slash")]
    NotAbsolute,
    /// It ends with a slash.
    #[error("it must not end with a slash")]
    TrailingSlash,
    /// Two slashes follow each other, or a name is empty.
    #[error("it has an empty component")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("it has a component that is '.' or '..'")]
    DotComponent,
    /// The name of a child has a slash in it.
    #[error("a name can't have a slash in it")]
    SlashInName,
    /// ZooKeeper refuses this character.
    #[error("ZooKeeper refuses the character U+{:04X}", u32::from(*.0))]
    Character(char),
    /// It is longer than [`PATH_BYTES_MAX`].
    #[error("it has {bytes} bytes; at most {PATH_BYTES_MAX} are possible")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_takes_what_zookeeper_takes() {
        for text in ["/", "/a", "/services/db/1.2.3.4", "/é x", "/...", "/a/.hidden", "/\u{d7ff}"]
        {
            assert_eq!(ZnodePath::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn parse_refuses_what_zookeeper_refuses_and_says_why() {
        let table = [
            ("", PathFault::NotAbsolute),
            ("services", PathFault::NotAbsolute),
            (" /a", PathFault::NotAbsolute),
            ("//", PathFault::TrailingSlash),
            ("/a/", PathFault::TrailingSlash),
            ("//a", PathFault::EmptyComponent),
            ("/a//b", PathFault::EmptyComponent),
            ("/a/./b", PathFault::DotComponent),
            ("/a/..", PathFault::DotComponent),
            ("/a\0", PathFault::Character('\0')),
            ("/a\nb", PathFault::Character('\n')),
            ("/\u{1f}", PathFault::Character('\u{1f}')),
            ("/\u{7f}", PathFault::Character('\u{7f}')),
            ("/\u{9f}", PathFault::Character('\u{9f}')),
            ("/\u{e000}", PathFault::Character('\u{e000}')),
            ("/\u{fff0}", PathFault::Character('\u{fff0}')),
            ("/\u{1f600}", PathFault::Character('\u{1f600}')),
        ];
        for (text, fault) in table {
            assert_eq!(ZnodePath::parse(text).unwrap_err().fault(), fault, "{text:?}");
        }
    }

    #[test]
    fn errors_are_one_short_line_with_the_path_in_it() {
        let error = ZnodePath::parse("/a\n/../b").unwrap_err().to_string();
        assert_eq!(
            error,
            "\"/a\\n/../b\" is not a znode path: ZooKeeper refuses the character U+000A"
        );
        let long = format!("/{}", "é".repeat(PATH_BYTES_MAX));
        let error = ZnodePath::parse(&long).unwrap_err();
        assert_eq!(error.fault(), PathFault::TooLong { bytes: long.len() });
        assert!(error.to_string().len() < 400, "{error}");
    }

    #[test]
    fn the_length_is_bounded_to_the_byte() {
        let longest = format!("/{}", "a".repeat(PATH_BYTES_MAX - 1));
        assert!(ZnodePath::parse(&longest).is_ok());
        assert!(ZnodePath::parse(&format!("{longest}a")).is_err());
        let parent = ZnodePath::parse(&longest[..PATH_BYTES_MAX - 2]).unwrap();
        assert!(parent.child("a").is_ok());
        assert!(parent.child("ab").is_err());
    }

    #[test]
    fn child_parent_and_name_fit_together() {
        let db = ZnodePath::root().child("services").unwrap().child("db").unwrap();
        assert_eq!(db.to_string(), "/services/db");
        assert_eq!(db.name(), Some("db"));
        assert_eq!(db.parent(), Some(ZnodePath::parse("/services").unwrap()));
        assert_eq!(db.parent().unwrap().parent(), Some(ZnodePath::root()));
        assert_eq!(ZnodePath::root().parent(), None);
        assert_eq!(ZnodePath::root().name(), None);
    }

    #[test]
    fn child_refuses_names_that_would_lead_elsewhere() {
        let db = ZnodePath::parse("/services/db").unwrap();
        for name in ["", ".", "..", "a/b", "/", "../x", "a\0b"] {
            assert!(db.child(name).is_err(), "{name:?}");
        }
    }
}
