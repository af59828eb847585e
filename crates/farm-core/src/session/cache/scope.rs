//! Which znodes a cache covers, and how it reads them.

use crate::session::ZnodePath;
use std::fmt;
use std::sync::Arc;

/// How many levels below its top a cache covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Depth(usize);

impl Depth {
    /// The top alone.
    pub const ZNODE: Self = Self(0);
    /// The children of the top.
    pub const CHILDREN: Self = Self(1);
    /// Everything below the top.
    pub const SUBTREE: Self = Self(usize::MAX);

    /// A number of levels: 1 for the children, 2 for their children too.
    #[must_use]
    pub const fn levels(levels: usize) -> Self {
        Self(levels)
    }
}

/// Which data is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    /// None, only the names.
    Names,
    /// The data of all znodes below the top.
    Below,
    /// The data of the top too.
    All,
}

/// Limits of a cache. If one is exceeded, the top is [refused](super::News::Refused).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most znodes below the top.
    pub znodes: usize,
    /// The most bytes of data in total.
    pub bytes: usize,
}

impl Limits {
    /// No limits, for a user who has asked for everything.
    pub const NONE: Self = Self { znodes: usize::MAX, bytes: usize::MAX };
}

type Test = dyn Fn(&ZnodePath) -> bool + Send + Sync;

/// What a cache covers.
#[derive(Clone)]
pub struct Scope {
    /// The topmost znode.
    pub(super) top: ZnodePath,
    depth: Depth,
    pub(super) contents: Contents,
    pub(super) limits: Limits,
    admits: Option<Arc<Test>>,
    /// A deleted znode is read before it counts as removed.
    pub(super) confirms_removals: bool,
    /// One znode that can't be read makes all of them unreadable.
    pub(super) is_all_or_nothing: bool,
}

impl Scope {
    /// Covers the znodes down to that depth, with that data.
    #[must_use]
    pub const fn new(top: ZnodePath, depth: Depth, contents: Contents) -> Self {
        Self {
            top,
            depth,
            contents,
            limits: Limits::NONE,
            admits: None,
            confirms_removals: false,
            is_all_or_nothing: false,
        }
    }

    /// Sets limits.
    #[must_use]
    pub fn within(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Excludes znodes below the top that do not pass the test, and everything below them.
    #[must_use]
    pub fn admitting(self, test: impl Fn(&ZnodePath) -> bool + Send + Sync + 'static) -> Self {
        Self { admits: Some(Arc::new(test)), ..self }
    }

    /// Reads a deleted znode before it is reported as removed: a znode that is deleted and
    /// created again at once is then reported as changed. Every deletion costs a read.
    #[must_use]
    pub fn confirming_removals(self) -> Self {
        Self { confirms_removals: true, ..self }
    }

    /// Refuses the whole tree if any znode of it can't be read.
    #[must_use]
    pub fn all_or_nothing(self) -> Self {
        Self { is_all_or_nothing: true, ..self }
    }

    pub(super) fn admits(&self, path: &ZnodePath) -> bool {
        self.admits.as_ref().is_none_or(|test| test(path))
    }

    /// Tells whether the scope is the top alone.
    pub(super) fn is_one_znode(&self) -> bool {
        self.depth == Depth::ZNODE
    }

    pub(super) fn reads_top(&self) -> bool {
        self.contents == Contents::All
    }

    /// Tells whether it covers the children of a znode that it covers.
    pub(super) fn covers_children_of(&self, path: &ZnodePath) -> bool {
        self.level(path).is_some_and(|level| Depth(level) < self.depth)
    }

    /// How many levels below the top the znode is; `None` if it is not covered.
    pub(super) fn level(&self, path: &ZnodePath) -> Option<usize> {
        let below = path.below_or_at(&self.top)?;
        let level = if below.is_empty() { 0 } else { 1 + below.matches('/').count() };
        (Depth(level) <= self.depth).then_some(level)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("top", &self.top)
            .field("depth", &self.depth)
            .field("contents", &self.contents)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(top: &str, depth: Depth, path: &str) -> Option<usize> {
        let parse = |path| ZnodePath::parse(path).unwrap();
        Scope::new(parse(top), depth, Contents::All).level(&parse(path))
    }

    #[test]
    fn levels_count_from_the_top_down_to_the_depth() {
        for (top, depth, path, expected) in [
            ("/t", Depth::ZNODE, "/t", Some(0)),
            ("/t", Depth::ZNODE, "/t/a", None),
            ("/t", Depth::CHILDREN, "/t/a", Some(1)),
            ("/t", Depth::CHILDREN, "/t/a/b", None),
            ("/t", Depth::levels(2), "/t/a/b", Some(2)),
            ("/t", Depth::SUBTREE, "/t/a/b/c/d", Some(4)),
            ("/t", Depth::SUBTREE, "/ta", None),
            ("/t", Depth::SUBTREE, "/", None),
            ("/", Depth::SUBTREE, "/", Some(0)),
            ("/", Depth::CHILDREN, "/a", Some(1)),
            ("/", Depth::CHILDREN, "/a/b", None),
        ] {
            assert_eq!(level(top, depth, path), expected, "{top} {depth:?} {path}");
        }
    }
}
