//! The record that two zkjoin share, and its checks.
//!
//! **Invariant.** The shared znode has no owner. It stays the same znode whatever happens to
//! sessions, tools and servers.

use super::conf::{Conf, Format};
use super::farm::{FARM, Farm, Identity, counter};
use super::tools::{Counter, Daemon};
use farm_harness::Tool;
use fastrand::Rng;
use std::io;
use std::path::Path;

/// The name of the shared znode in the farm.
pub(super) const COMMON: &str = "common";
/// The field that each sharer edits in its config.
const FIELDS: [&str; 2] = ["one", "two"];

/// A `zkjoin --common`.
pub(super) struct Sharer {
    pub(super) daemon: Daemon,
    conf: Conf,
    field: &'static str,
    edits: Counter,
    /// It was killed since the last recovery: edits that were not yet published are lost.
    was_killed: bool,
}

impl Sharer {
    fn start(tool: Tool, dir: &Path, format: Format, field: &'static str) -> Self {
        let name = format!("sharer-{field}");
        let dir = dir.join(&name);
        let conf = Conf::new(&dir, format);
        let tool = tool.args(["--common", "--format", &format.name(), FARM]).arg(&conf.path);
        let daemon = Daemon::start(name, tool, dir);
        Self { daemon, conf, field, edits: Counter::default(), was_killed: true }
    }

    /// Tells the checks that it is about to be killed.
    pub(super) const fn expect_kill(&mut self) {
        self.was_killed = true;
        self.daemon.usage.may_lose_edits = true;
    }

    fn edit(&mut self, is_in_place: bool) -> io::Result<()> {
        self.edits.requested += 1;
        self.edits.confirmed = self.edits.requested;
        self.conf.edit(self.field, self.edits.requested, is_in_place)
    }
}

/// The shared record, its sharers, and the edits of the znode itself.
pub(super) struct SharedRecord {
    pub(super) sharers: Vec<Sharer>,
    pub(super) remote: Counter,
    /// The znode that it must remain, once it was seen.
    identity: Option<Identity>,
    /// A JSON file is replaced as a whole, so only that file is edited in this round.
    is_json_turn: bool,
}

impl SharedRecord {
    /// Starts a sharer for each of these tools. Each must use other names for the servers, because
    /// a host runs only one zkjoin for a znode.
    pub(super) fn start(tools: [Tool; 2], dir: &Path) -> Self {
        let formats = [Format::Dir, Format::Json].into_iter().zip(FIELDS);
        let sharers = tools
            .into_iter()
            .zip(formats)
            .map(|(tool, (format, field))| Sharer::start(tool, dir, format, field));
        Self {
            sharers: sharers.collect(),
            remote: Counter::default(),
            identity: None,
            is_json_turn: false,
        }
    }

    /// Edits the configs, or returns the number for an edit of the znode.
    pub(super) fn edit(&mut self, rng: &mut Rng) -> io::Result<Option<u64>> {
        let (is_remote, is_in_place) = (rng.bool(), rng.bool());
        let format = if self.is_json_turn { Format::Json } else { Format::Dir };
        // Only one edit of the znode is pending at a time.
        if is_remote && !self.is_json_turn && self.remote.requested == self.remote.confirmed {
            self.remote.requested += 1;
            return Ok(Some(self.remote.requested));
        }
        let mut editors = self.sharers.iter_mut().filter(|sharer| sharer.conf.format == format);
        editors.try_for_each(|sharer| sharer.edit(is_in_place))?;
        Ok(None)
    }

    /// It was seen, so it must never be missing.
    pub(super) const fn is_known(&self) -> bool {
        self.identity.is_some()
    }

    /// Checks that it is still the same znode and has no owner.
    pub(super) fn check_identity(&self, seen: Option<&Identity>) -> Result<(), String> {
        match (self.identity, seen) {
            (None, None) => Ok(()),
            (_, Some(seen)) if seen.owner != 0 => Err(format!("{COMMON} has an owner: {seen:x?}")),
            (None, Some(_)) => Ok(()),
            (Some(was), seen) if seen == Some(&was) => Ok(()),
            (Some(was), seen) => Err(format!("{COMMON} was {was:x?} and is {seen:x?}")),
        }
    }

    /// The first violation, and the name of the tool whose log belongs to it.
    pub(super) fn violation(&self, farm: &Farm) -> Option<(&str, String)> {
        let Some(host) = farm.get(COMMON) else {
            return Some((COMMON, "it is not in the farm".to_owned()));
        };
        if let Err(what) = self.check_identity(Some(&host.identity)) {
            return Some((COMMON, what));
        }
        let remote = counter(&host.record, "remote");
        if remote != self.remote.requested {
            return Some((COMMON, format!("{:?} is lost: {remote}", self.remote)));
        }
        self.sharers.iter().find_map(|sharer| {
            let number = counter(&host.record, sharer.field);
            let least =
                if sharer.was_killed { sharer.edits.settled } else { sharer.edits.requested };
            let is_kept = (least..=sharer.edits.requested).contains(&number);
            let outcome = if is_kept {
                sharer.conf.check(&host.record)
            } else {
                Err(format!("{:?} is lost: {number}", sharer.edits))
            };
            outcome.err().map(|what| (sharer.daemon.name.as_str(), what))
        })
    }

    /// Records the current state after a recovery.
    pub(super) fn settle(&mut self, farm: &Farm) {
        let Some(host) = farm.get(COMMON) else { return };
        self.identity = Some(host.identity);
        self.remote.settle(counter(&host.record, "remote"));
        for sharer in &mut self.sharers {
            sharer.edits.settle(counter(&host.record, sharer.field));
            sharer.was_killed = false;
        }
        self.is_json_turn = !self.is_json_turn;
    }
}
