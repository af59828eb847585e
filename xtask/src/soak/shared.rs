//! The record that two zkjoin share, and what must hold for it.
//!
//! **Invariant.** The shared znode is nobody's: no session's end, no tool's end and
//! no outage is an excuse for another one.

use super::conf::{Conf, Kind};
use super::farm::{FARM, Farm, Identity, counter};
use super::tools::{Counter, Daemon};
use farm_harness::Tool;
use fastrand::Rng;
use std::io;
use std::path::Path;

/// The name of the shared znode in the farm.
pub(super) const COMMON: &str = "common";
/// The field that each of the sharers edits in its own config.
const FIELDS: [&str; 2] = ["one", "two"];

/// A `zkjoin --common`.
pub(super) struct Sharer {
    pub(super) daemon: Daemon,
    conf: Conf,
    field: &'static str,
    edits: Counter,
    /// It was ended since it was calm: what was not published yet gives way to the znode.
    is_excused: bool,
}

impl Sharer {
    fn start(tool: Tool, dir: &Path, kind: Kind, field: &'static str) -> Self {
        let name = format!("sharer-{field}");
        let conf = Conf::new(dir, &name, kind);
        let tool = tool.args(["--common", "--format", &kind.format(), FARM]).arg(&conf.path);
        let daemon = Daemon::start(name, tool);
        Self { daemon, conf, field, edits: Counter::default(), is_excused: true }
    }

    /// It is about to be ended.
    pub(super) const fn excuse(&mut self) {
        self.is_excused = true;
        self.daemon.usage.may_yield = true;
    }

    fn edit(&mut self, is_in_place: bool) -> io::Result<()> {
        self.edits.wanted += 1;
        self.edits.made = self.edits.wanted;
        self.conf.edit(self.field, self.edits.wanted, is_in_place)
    }
}

/// The shared record, its sharers, and the outsider who edits it too.
pub(super) struct Common {
    pub(super) sharers: Vec<Sharer>,
    pub(super) remote: Counter,
    /// The znode that it must be for ever, once it was there.
    identity: Option<Identity>,
    /// A JSON file is edited as a whole: when nobody else edits.
    is_files_turn: bool,
}

impl Common {
    /// Starts a sharer for each of these tools, which have to know the servers by other
    /// names: one host has one zkjoin for one znode.
    pub(super) fn start(tools: [Tool; 2], dir: &Path) -> Self {
        let kinds = [Kind::Dir, Kind::Json].into_iter().zip(FIELDS);
        let sharers = tools
            .into_iter()
            .zip(kinds)
            .map(|(tool, (kind, field))| Sharer::start(tool, dir, kind, field));
        Self {
            sharers: sharers.collect(),
            remote: Counter::default(),
            identity: None,
            is_files_turn: false,
        }
    }

    /// One of the configs is edited; or the znode is to be, and this is the number.
    pub(super) fn edit(&mut self, rng: &mut Rng) -> io::Result<Option<u64>> {
        let (is_remote, is_in_place) = (rng.bool(), rng.bool());
        let kind = if self.is_files_turn { Kind::Json } else { Kind::Dir };
        // One edit at a time is under way to the znode.
        if is_remote && !self.is_files_turn && self.remote.wanted == self.remote.made {
            self.remote.wanted += 1;
            return Ok(Some(self.remote.wanted));
        }
        let mut editors = self.sharers.iter_mut().filter(|sharer| sharer.conf.kind == kind);
        editors.try_for_each(|sharer| sharer.edit(is_in_place))?;
        Ok(None)
    }

    /// It is known, and so may never be missing.
    pub(super) const fn is_settled(&self) -> bool {
        self.identity.is_some()
    }

    /// It is the znode that it has always been, and nobody's.
    pub(super) fn is_the_same(&self, seen: Option<&Identity>) -> Result<(), String> {
        match (self.identity, seen) {
            (None, None) => Ok(()),
            (_, Some(seen)) if seen.owner != 0 => Err(format!("{COMMON} is owned: {seen:x?}")),
            (None, Some(_)) => Ok(()),
            (Some(was), seen) if seen == Some(&was) => Ok(()),
            (Some(was), seen) => Err(format!("{COMMON} was {was:x?} and is {seen:x?}")),
        }
    }

    /// The first thing that is not as it should be, and whose log tells about it.
    pub(super) fn complaint(&self, farm: &Farm) -> Option<(&str, String)> {
        let Some(host) = farm.get(COMMON) else {
            return Some((COMMON, "it is not in the farm".to_owned()));
        };
        if let Err(what) = self.is_the_same(Some(&host.identity)) {
            return Some((COMMON, what));
        }
        let remote = counter(&host.record, "remote");
        if remote != self.remote.wanted {
            return Some((COMMON, format!("{:?} is lost: {remote}", self.remote)));
        }
        self.sharers.iter().find_map(|sharer| {
            let number = counter(&host.record, sharer.field);
            let least = if sharer.is_excused { sharer.edits.settled } else { sharer.edits.wanted };
            let is_kept = (least..=sharer.edits.wanted).contains(&number);
            let outcome = if is_kept {
                sharer.conf.agrees(&host.record)
            } else {
                Err(format!("{:?} is lost: {number}", sharer.edits))
            };
            outcome.err().map(|what| (sharer.daemon.name.as_str(), what))
        })
    }

    /// Everybody agrees on what is in the farm.
    pub(super) fn settle(&mut self, farm: &Farm) {
        let Some(host) = farm.get(COMMON) else { return };
        self.identity = Some(host.identity);
        self.remote.settle(counter(&host.record, "remote"));
        for sharer in &mut self.sharers {
            sharer.edits.settle(counter(&host.record, sharer.field));
            sharer.is_excused = false;
        }
        self.is_files_turn = !self.is_files_turn;
    }
}
