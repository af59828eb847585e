//! Keeping the number of versions small.

use super::member::MemberRecord;
use super::paths::StatePaths;
use super::version::Version;
use crate::session::{Client, SessionError, Stat, Watch, ZnodePath};
use std::collections::HashSet;

/// How many versions are kept.
const VERSIONS_MAX: usize = 16;

/// Deletes the oldest versions beyond the newest 16, but none that a member wants or runs on.
/// The member that creates a version does this.
pub(super) fn prune(client: &Client, paths: &StatePaths) -> Result<(), SessionError> {
    let names = client.children(paths.versions(), Watch::No)?;
    if names.len() <= VERSIONS_MAX {
        return Ok(());
    }
    let version = |name: &String| {
        let version: Version = name.parse().ok()?;
        Some((version, paths.versions().child(name).ok()?))
    };
    let (versions, znodes): (Vec<Version>, Vec<ZnodePath>) =
        names.iter().filter_map(version).unzip();
    let stats = client.get_many(&znodes)?;
    let found = versions.into_iter().zip(&znodes).zip(stats);
    let mut found: Vec<(Stat, &ZnodePath, Version)> = found
        .filter_map(|((version, path), znode)| Some((znode.ok()?.stat, path, version)))
        .collect();
    found.sort_by_key(|(stat, ..)| std::cmp::Reverse(stat.mzxid));
    let mut in_use = None;
    for (stat, path, version) in found.into_iter().skip(VERSIONS_MAX) {
        let in_use = match &mut in_use {
            Some(in_use) => in_use,
            none => none.insert(versions_in_use(client, paths)?),
        };
        if in_use.contains(&version) {
            continue;
        }
        match client.delete(path, Some(stat.version)) {
            Ok(())
            | Err(
                SessionError::NoNode(_)
                | SessionError::BadVersion(_)
                | SessionError::NotEmpty(_)
                | SessionError::NoAuth(_),
            ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The versions that members want or run on.
fn versions_in_use(client: &Client, paths: &StatePaths) -> Result<HashSet<Version>, SessionError> {
    let names = match client.children(paths.members(), Watch::No) {
        Ok(names) => names,
        Err(SessionError::NoNode(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let members: Vec<ZnodePath> =
        names.iter().filter_map(|name| paths.members().child(name).ok()).collect();
    let mut in_use = HashSet::new();
    for znode in client.get_many(&members)?.into_iter().flatten() {
        let versions = MemberRecord::read(&znode.data).versions;
        in_use.extend(versions.wanted.into_iter().chain(versions.running));
    }
    Ok(in_use)
}
