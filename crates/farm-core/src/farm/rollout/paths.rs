//! Where the state of a group is.

use crate::farm::permit::GroupName;
use crate::session::{PathError, ZnodePath};

/// The parent of the states of all groups.
const STATES: &str = "_zkexec";

/// The longest id of a member, in bytes.
const ID_BYTES_MAX: usize = 255;

/// The paths below the state of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePaths {
    group: ZnodePath,
    members: ZnodePath,
    versions: ZnodePath,
    control: ZnodePath,
}

impl StatePaths {
    /// The paths of that group.
    ///
    /// # Errors
    ///
    /// When its name is too long for them.
    pub fn of(group: &GroupName) -> Result<Self, PathError> {
        let group = Self::all()?.child(&group.to_string())?;
        let (members, versions) = (group.child("members")?, group.child("versions")?);
        // The longest paths below have to be valid too.
        members.child(&"x".repeat(ID_BYTES_MAX))?;
        let control = group.child("control")?;
        Ok(Self { group, members, versions, control })
    }

    /// The znode whose children are the states of all groups.
    ///
    /// # Errors
    ///
    /// Never: the name is a valid one.
    pub fn all() -> Result<ZnodePath, PathError> {
        ZnodePath::root().child(STATES)
    }

    /// The state of the group.
    #[must_use]
    pub const fn group(&self) -> &ZnodePath {
        &self.group
    }

    /// The znode whose children are the members.
    #[must_use]
    pub const fn members(&self) -> &ZnodePath {
        &self.members
    }

    /// The znode of one member.
    ///
    /// # Errors
    ///
    /// When no znode can have that name, or it is longer than 255 bytes.
    pub fn member(&self, id: &str) -> Result<ZnodePath, PathError> {
        if id.len() > ID_BYTES_MAX {
            // Its path is too long, which is what the error says.
            return self.members.child(&"x".repeat(crate::session::PATH_BYTES_MAX));
        }
        self.members.child(id)
    }

    /// The znode whose children are the versions.
    #[must_use]
    pub const fn versions(&self) -> &ZnodePath {
        &self.versions
    }

    /// The znode with the orders of the operators.
    #[must_use]
    pub const fn control(&self) -> &ZnodePath {
        &self.control
    }
}
