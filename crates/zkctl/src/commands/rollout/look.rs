//! One look at a group: its members, its lock, its control and its versions.
//!
//! **Invariant.** Members are read before their sources. So a member counts as done only if it was
//! so with what the sources held after that.

use super::contents::{Contents, Unread};
use super::target::Target;
use crate::commands::lock_queue::{Place, read_queue};
use farm_core::codec::json::decode_znode;
use farm_core::farm::rollout::{Control, MemberRecord, Source, Version, VersionRecord};
use farm_core::farm::rollout::{MemberState, StatePaths};
use farm_core::session::{Client, SessionError, Watch, ZnodePath};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many znodes are read before their data is shortened to what counts.
const READS_MAX: usize = 128;

/// A member, as it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Member {
    pub(super) id: String,
    /// The session that owns its znode.
    pub(super) owner: i64,
    pub(super) record: MemberRecord,
    /// The version of what its sources hold; what it says itself, if we don't know its sources.
    pub(super) wanted: Option<Version>,
}

impl Member {
    /// Whether its child is known to work on what it wants.
    pub(super) fn is_confirmed(&self) -> bool {
        let versions = &self.record.versions;
        self.wanted.is_some()
            && versions.running == self.wanted
            && versions.confirmed == self.wanted
    }

    /// Whether it has to restart its child yet.
    pub(super) fn is_behind(&self, control: &Control) -> bool {
        self.record.restarted.unwrap_or_default() < control.restart
    }

    /// Whether it has nothing to do.
    pub(super) fn is_done(&self, control: &Control) -> bool {
        let is_running = self.record.state == Some(MemberState::Running);
        is_running && self.is_confirmed() && !self.is_behind(control)
    }

    /// Whether it leaves out what it wants, by the wish of an operator.
    pub(super) fn is_skipped(&self, control: &Control) -> bool {
        self.wanted.is_some() && control.skip.get(&self.id).copied() == self.wanted
    }
}

/// A group, as it was read.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) group: String,
    pub(super) control: Control,
    /// Sorted by id.
    pub(super) members: Vec<Member>,
    /// The contenders for the lock, in order.
    pub(super) queue: Vec<Place>,
    /// What is known of the versions that members want.
    pub(super) versions: BTreeMap<Version, VersionRecord>,
    /// Sources whose content is unknown.
    pub(super) unread: Vec<Unread>,
}

impl Look {
    /// Reads the group; `None` if there is no such group.
    pub(super) fn take(client: &Client, target: &Target) -> Result<Option<Self>, SessionError> {
        let Some(mut look) = Self::take_without_contents(client, target)? else { return Ok(None) };
        let sources = look.members.iter().filter_map(|member| member.record.sources.as_deref());
        let contents = Contents::read(client, sources)?;
        look.know_wanted(contents);
        look.versions = read_versions(client, &target.paths, look.wanted())?;
        Ok(Some(look))
    }

    /// Reads the group, but neither its sources nor its versions.
    pub(super) fn take_without_contents(
        client: &Client,
        target: &Target,
    ) -> Result<Option<Self>, SessionError> {
        let members = read_members(client, &target.paths)?;
        let queue = read_queue(client, &target.group)?;
        if members.is_none() && queue.is_none() && !target.exists(client)? {
            return Ok(None);
        }
        Ok(Some(Self {
            group: target.group.to_string(),
            control: read_control(client, &target.paths)?,
            members: members.unwrap_or_default(),
            queue: queue.unwrap_or_default(),
            ..Self::default()
        }))
    }

    fn know_wanted(&mut self, contents: Contents) {
        let mut known: BTreeMap<&[Source], Option<Version>> = BTreeMap::new();
        let mut wanted = Vec::with_capacity(self.members.len());
        for Member { record, .. } in &self.members {
            let computed = record.sources.as_deref().and_then(|sources| {
                *known.entry(sources).or_insert_with(|| contents.version(sources))
            });
            wanted.push(computed.or(record.versions.wanted));
        }
        for (member, wanted) in self.members.iter_mut().zip(wanted) {
            member.wanted = wanted;
        }
        self.unread = contents.into_unread();
    }

    /// The versions that members want.
    pub(super) fn wanted(&self) -> BTreeSet<Version> {
        self.members.iter().filter_map(|member| member.wanted).collect()
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Logs why members count by what they say themselves.
    pub(super) fn warn(&self) {
        for unread in &self.unread {
            log::warn!("members with this source count by what they say: {unread}");
        }
        let unknown = self.members.iter().filter(|member| member.record.sources.is_none());
        let (count, first) = (unknown.clone().count(), unknown.map(|member| &member.id).next());
        if let Some(first) = first {
            log::warn!(first, count; "members with unknown sources count by what they say");
        }
    }

    /// The id of the member of each session.
    pub(super) fn ids_by_session(&self) -> HashMap<i64, &str> {
        let ephemeral = self.members.iter().filter(|member| member.owner != 0);
        ephemeral.map(|member| (member.owner, member.id.as_str())).collect()
    }

    /// The contenders that belong to no member.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &Place> {
        let ids = self.ids_by_session();
        self.queue.iter().filter(move |place| !ids.contains_key(&place.znode.stat.ephemeral_owner))
    }

    /// How many members have nothing to do.
    pub(super) fn done(&self) -> usize {
        self.members.iter().filter(|member| member.is_done(&self.control)).count()
    }
}

/// All members, sorted by id; `None` if there is no place for them.
fn read_members(client: &Client, paths: &StatePaths) -> Result<Option<Vec<Member>>, SessionError> {
    let names = match client.children(paths.members(), Watch::No) {
        Ok(names) => names,
        Err(SessionError::NoNode(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut members = Vec::with_capacity(names.len());
    for names in names.chunks(READS_MAX) {
        let (ids, znodes): (Vec<&String>, Vec<ZnodePath>) =
            names.iter().filter_map(|id| Some((id, paths.member(id).ok()?))).unzip();
        for (id, znode) in ids.into_iter().zip(client.get_many(&znodes)?) {
            let znode = match znode {
                Ok(znode) => znode,
                Err(SessionError::NoNode(_)) => continue,
                Err(error) => return Err(error),
            };
            let (id, owner) = (id.clone(), znode.stat.ephemeral_owner);
            members.push(Member {
                id,
                owner,
                record: MemberRecord::read(&znode.data),
                wanted: None,
            });
        }
    }
    Ok(Some(members))
}

fn read_control(client: &Client, paths: &StatePaths) -> Result<Control, SessionError> {
    match client.get(paths.control(), Watch::No) {
        // Members take it for empty, too.
        Ok(znode) => Ok(Control::of(&decode_znode(&znode.data).unwrap_or_default())),
        Err(SessionError::NoNode(_)) => Ok(Control::default()),
        Err(error) => Err(error),
    }
}

/// What is known of these versions.
fn read_versions(
    client: &Client,
    paths: &StatePaths,
    versions: BTreeSet<Version>,
) -> Result<BTreeMap<Version, VersionRecord>, SessionError> {
    let (versions, znodes): (Vec<Version>, Vec<ZnodePath>) = versions
        .into_iter()
        .filter_map(|version| Some((version, paths.versions().child(&version.to_string()).ok()?)))
        .unzip();
    let mut known = BTreeMap::new();
    for (version, znode) in versions.into_iter().zip(client.get_many(&znodes)?) {
        match znode {
            Ok(znode) => {
                known.extend(VersionRecord::read(&znode.data).map(|record| (version, record)));
            }
            Err(SessionError::NoNode(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(known)
}
