//! Where the lock of a group is: as the Ruby gem `zk` lays it out.

use crate::session::{PathError, ZnodePath};
use std::fmt;

/// The znode below which every group has a directory.
const LOCKS: &str = "_zklocking";

/// What the names of the contenders begin with that want the lock for themselves.
const EXCLUSIVE: &str = "ex";

/// The name of a rolling-restart group, and the directory of its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName {
    directory: ZnodePath,
    prefix: ZnodePath,
}

impl GroupName {
    /// Reads a name. A slash in it is two underscores in ZooKeeper, so `a/b` and
    /// `a__b` are the same group.
    ///
    /// # Errors
    ///
    /// When no znode can have that name.
    pub fn parse(name: &str) -> Result<Self, PathError> {
        let directory = Self::all()?.child(&name.replace('/', "__"))?;
        // With room for a number, so that the server can answer with the whole.
        directory.child(&format!("{EXCLUSIVE}-{}", u32::MAX))?;
        let prefix = directory.child(EXCLUSIVE)?;
        Ok(Self { directory, prefix })
    }

    /// The znode whose children are the directories of all groups.
    ///
    /// # Errors
    ///
    /// None in fact: the name is one that a znode can have.
    pub fn all() -> Result<ZnodePath, PathError> {
        ZnodePath::root().child(LOCKS)
    }

    /// The znode whose children are the contenders.
    #[must_use]
    pub const fn directory(&self) -> &ZnodePath {
        &self.directory
    }

    /// What the paths of our contenders begin with.
    pub(super) const fn prefix(&self) -> &ZnodePath {
        &self.prefix
    }
}

impl fmt::Display for GroupName {
    /// The name of the directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.directory.name().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_directory_that_the_gem_gives_it() {
        let table = [
            ("web", "/_zklocking/web"),
            ("services/db", "/_zklocking/services__db"),
            ("/services/db/", "/_zklocking/__services__db__"),
            ("a__b", "/_zklocking/a__b"),
            ("a//b", "/_zklocking/a____b"),
            ("/", "/_zklocking/__"),
            ("ü b", "/_zklocking/ü b"),
        ];
        for (name, directory) in table {
            let group = GroupName::parse(name).unwrap();
            assert_eq!(group.directory().as_str(), directory);
            assert_eq!(group.prefix().as_str(), format!("{directory}/ex"));
            assert_eq!(group.to_string(), directory.rsplit_once('/').unwrap().1);
        }
    }

    #[test]
    fn what_no_znode_can_be_called_is_no_group() {
        for name in ["", ".", "..", "a\nb", "a\0", &"x".repeat(4090)] {
            GroupName::parse(name).unwrap_err();
        }
    }
}
