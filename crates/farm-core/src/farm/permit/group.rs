//! Where the lock of a group is, in the layout of the Ruby gem `zk`.

use crate::session::{PathError, ZnodePath};
use std::fmt;

/// The parent of every group's directory.
const LOCKS: &str = "_zklocking";

/// The prefix of the names of contenders for an exclusive lock.
const EXCLUSIVE: &str = "ex";

/// The name of a rolling-restart group, and the directory of its lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName {
    directory: ZnodePath,
    prefix: ZnodePath,
}

impl GroupName {
    /// Parses a name. A slash in it becomes two underscores in ZooKeeper, so `a/b` and `a__b` are
    /// the same group.
    ///
    /// # Errors
    ///
    /// When no znode can have that name.
    pub fn parse(name: &str) -> Result<Self, PathError> {
        let directory = Self::all()?.child(&name.replace('/', "__"))?;
        // The longest name that the server can make of it has to be valid too.
        directory.child(&format!("{EXCLUSIVE}-{}", u32::MAX))?;
        let prefix = directory.child(EXCLUSIVE)?;
        Ok(Self { directory, prefix })
    }

    /// The znode whose children are the directories of all groups.
    ///
    /// # Errors
    ///
    /// Never: the name is a valid one.
    pub fn all() -> Result<ZnodePath, PathError> {
        ZnodePath::root().child(LOCKS)
    }

    /// The znode whose children are the contenders.
    #[must_use]
    pub const fn directory(&self) -> &ZnodePath {
        &self.directory
    }

    /// The start of the paths of our contenders.
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
    fn a_name_that_no_znode_can_have_is_no_group() {
        for name in ["", ".", "..", "a\nb", "a\0", &"x".repeat(4090)] {
            GroupName::parse(name).unwrap_err();
        }
    }
}
