//! The group that a command is about.

use crate::commands::lock_queue::locked_groups;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::permit::GroupName;
use farm_core::farm::rollout::StatePaths;
use farm_core::session::{Client, SessionError, Watch};
use std::collections::BTreeSet;

/// The group on the command line.
#[derive(Debug, Args)]
pub(super) struct GroupArg {
    /// The group, as in zkexec --lock
    #[arg(value_name = "NAME")]
    pub(super) name: String,
}

impl GroupArg {
    pub(super) fn target(&self) -> Result<Target, Failure> {
        Target::parse(&self.name)
    }
}

/// A group, and where its state is.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) group: GroupName,
    pub(super) paths: StatePaths,
}

impl Target {
    pub(super) fn parse(name: &str) -> Result<Self, Failure> {
        let group = GroupName::parse(name)?;
        let paths = StatePaths::of(&group)?;
        Ok(Self { group, paths })
    }

    /// Whether the group has a state or a lock.
    pub(super) fn exists(&self, client: &Client) -> Result<bool, SessionError> {
        let exists = |path| client.exists(path, Watch::No).map(|stat| stat.is_some());
        Ok(exists(self.paths.group())? || exists(self.group.directory())?)
    }

    /// There is no such group.
    pub(super) fn missing(&self) -> Failure {
        Failure::new(Exit::No, format!("there is no group {}", self.group))
            .hint("zkctl rollout status shows all groups")
    }
}

/// The names of all groups that have a state or a lock, sorted.
pub(super) fn all_groups(client: &Client) -> Result<Vec<String>, SessionError> {
    let mut names: BTreeSet<String> = locked_groups(client)?.into_iter().collect();
    // Cannot fail: the path is a constant.
    if let Ok(all) = StatePaths::all() {
        match client.children(&all, Watch::No) {
            Ok(more) => names.extend(more),
            Err(SessionError::NoNode(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names.into_iter().collect())
}
