//! The rows of `zkctl locks`, in all formats.

use super::znode_stat::{object, utc};
use crate::format::{OutputFormat, Terminator};
use crate::output::Output;
use farm_core::cli::Failure;
use farm_core::farm::permit::{Contender, ContenderInfo, GroupName, Queue};
use farm_core::model::Value;
use farm_core::session::{SessionId, Stat};
use std::collections::BTreeMap;
use std::io::Write;

/// The names of the columns of tsv.
const COLUMNS: [&str; 9] = ["group", "state", "id", "since", "host", "pid", "n", "session", "why"];

/// The data and the metadata of a contender.
#[derive(Debug, Clone)]
pub(super) struct ContenderZnode {
    pub(super) info: ContenderInfo,
    pub(super) stat: Stat,
}

impl ContenderZnode {
    /// By the host's clock if the contender has it, else by the server's.
    fn since_ms(&self) -> i64 {
        self.info.since_ms.unwrap_or(self.stat.ctime_ms)
    }

    fn session(&self) -> Option<String> {
        let session = self.stat.ephemeral_owner;
        (session != 0).then(|| SessionId(session).to_string())
    }

    fn pid(&self) -> String {
        self.info.pid.map_or_else(String::new, |pid| pid.to_string())
    }

    /// The host, or else the session, that the contender belongs to.
    fn owner(&self) -> String {
        match (&self.info.host, self.session()) {
            (Some(host), _) => host.clone(),
            (None, Some(session)) => format!("session={session}"),
            (None, None) => "persistent".to_owned(),
        }
    }
}

/// A contender of a group, and whether it has its turn.
#[derive(Debug)]
pub(super) struct QueueEntry {
    group: String,
    contender: Contender,
    is_turn: bool,
    znode: ContenderZnode,
}

impl QueueEntry {
    /// Sorts the contenders and finds whose turn it is, by the rule of the members.
    pub(super) fn in_order(
        group: &GroupName,
        found: Vec<(Contender, ContenderZnode)>,
    ) -> Vec<Self> {
        let queue = Queue::of(found.iter().map(|(contender, _)| contender.name()));
        let mut found: BTreeMap<Contender, ContenderZnode> = found.into_iter().collect();
        // A member that does not state how many may hold, like one in Ruby, allows one.
        let holders = |contender: &Contender| {
            let stated = found.get(contender).and_then(|znode| znode.info.holders);
            stated.map_or(1, std::num::NonZero::get)
        };
        let turns: Vec<(Contender, bool)> =
            queue.turns(holders).map(|(contender, is_turn)| (contender.clone(), is_turn)).collect();
        let entries = turns.into_iter().filter_map(|(contender, is_turn)| {
            let znode = found.remove(&contender)?;
            Some(Self { group: group.to_string(), contender, is_turn, znode })
        });
        entries.collect()
    }

    const fn state(&self) -> &'static str {
        if self.is_turn { "holds" } else { "waits" }
    }

    fn line(&self) -> String {
        let (id, since) = (self.contender.name(), utc(self.znode.since_ms()));
        let (owner, pid) = (self.znode.owner(), self.znode.pid());
        let why = self.znode.info.why.as_deref().unwrap_or_default();
        let (group, state) = (&self.group, self.state());
        let pid = if pid.is_empty() { "-" } else { &pid };
        let line =
            format!("{group:<20} {state:<5} {id:<12} {since:<20} {owner:<20} {pid:>7} {why}");
        line.trim_end_matches(' ').to_owned()
    }

    fn cells(&self) -> [String; 9] {
        let ContenderZnode { info, .. } = &self.znode;
        [
            self.group.clone(),
            self.state().to_owned(),
            self.contender.name().to_owned(),
            utc(self.znode.since_ms()),
            info.host.clone().unwrap_or_default(),
            self.znode.pid(),
            info.holders.map_or_else(String::new, |n| n.to_string()),
            self.znode.session().unwrap_or_default(),
            info.why.clone().unwrap_or_default(),
        ]
    }

    fn object(&self) -> Value {
        let ContenderZnode { info, stat } = &self.znode;
        object([
            ("v", Value::from(1)),
            ("group", Value::from(self.group.as_str())),
            ("id", Value::from(self.contender.name())),
            ("state", Value::from(self.state())),
            ("since", Value::from(self.znode.since_ms())),
            ("host", Value::from(info.host.clone())),
            ("pid", Value::from(info.pid)),
            ("n", Value::from(info.holders.map(std::num::NonZero::get))),
            ("why", Value::from(info.why.clone())),
            ("session", Value::from(self.znode.session())),
            ("ctime", Value::from(stat.ctime_ms)),
            ("czxid", Value::from(stat.czxid)),
        ])
    }
}

/// Prints the entries, below a line of column names if `has_header`.
pub(super) fn show(
    entries: &[QueueEntry],
    format: OutputFormat,
    has_header: bool,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    if has_header {
        output.cells(COLUMNS, format.terminator)?;
    }
    output.list(format, entries, QueueEntry::line, QueueEntry::cells, QueueEntry::object)
}

/// Prints what was deleted.
pub(super) fn show_broken(
    group: &GroupName,
    contender: &Contender,
    znode: &ContenderZnode,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    let owner = match &znode.info.host {
        Some(host) => format!("host={host} pid={}", znode.pid()),
        None => znode.owner(),
    };
    let since = utc(znode.since_ms());
    let mut line = format!("broke {group}/{}: {owner} since={since}", contender.name());
    if let Some(why) = &znode.info.why {
        line += &format!(" why=\"{why}\"");
    }
    output.row(&line, Terminator::Newline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Layout;

    fn znode(data: &str, ephemeral_owner: i64) -> ContenderZnode {
        let stat = Stat {
            czxid: 0x1_0000_002a,
            ctime_ms: 1_700_000_000_123,
            ephemeral_owner,
            ..Stat::default()
        };
        ContenderZnode { info: ContenderInfo::read(data.as_bytes()), stat }
    }

    fn entries() -> Vec<QueueEntry> {
        let found = [
            (
                "ex0000000010",
                r#"{"host":"db-01","n":2,"pid":4711,"since":1700000060000,"why":"config changed"}"#,
                0x1_0000_0001,
            ),
            ("ex0000000009", "", 0x1_0000_0002),
            ("sh0000000011", "nonsense", 0x1_0000_0003),
            (
                "ex0000000012",
                r#"{"host":"a\tb\n\u001b[2J","n":2,"pid":1,"since":0,"why":"x\\y"}"#,
                0x1_0000_0004,
            ),
            ("backup13", "", 0),
        ];
        let found =
            found.map(|(name, data, owner)| (Contender::parse(name).unwrap(), znode(data, owner)));
        QueueEntry::in_order(&GroupName::parse("services/db").unwrap(), found.into())
    }

    fn printed(layout: Layout, terminator: Terminator, has_header: bool) -> String {
        let mut printed = Vec::new();
        let mut output = Output::into(&mut printed);
        show(&entries(), OutputFormat { layout, terminator }, has_header, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let table = [
            (Layout::Text, false, include_str!("../../tests/golden/locks.txt")),
            (Layout::Tsv, false, include_str!("../../tests/golden/locks.tsv")),
            (Layout::Tsv, true, include_str!("../../tests/golden/locks-header.tsv")),
            (Layout::Jsonl, false, include_str!("../../tests/golden/locks.jsonl")),
            (Layout::Json, false, include_str!("../../tests/golden/locks.json")),
            (Layout::Yaml, false, include_str!("../../tests/golden/locks.yaml")),
        ];
        for (layout, has_header, golden) in table {
            let printed = printed(layout, Terminator::Newline, has_header);
            assert_eq!(printed, golden, "{layout:?}:\n{printed}");
        }
    }

    #[test]
    fn nul_terminates_lines_in_place_of_newlines() {
        for layout in [Layout::Text, Layout::Tsv, Layout::Jsonl] {
            let printed = printed(layout, Terminator::Nul, false);
            assert_eq!(printed.matches('\0').count(), entries().len(), "{layout:?}");
        }
    }

    #[test]
    fn a_broken_contender_is_shown_on_one_line() {
        let table = [
            (
                r#"{"host":"db-01","pid":7,"since":0,"why":"a\nb"}"#,
                1,
                "host=db-01 pid=7 since=1970-01-01T00:00:00Z why=\"a\\nb\"",
            ),
            ("", 0xab, "session=0xab since=2023-11-14T22:13:20Z"),
            ("", 0, "persistent since=2023-11-14T22:13:20Z"),
        ];
        for (data, owner, rest) in table {
            let mut printed = Vec::new();
            let mut output = Output::into(&mut printed);
            let group = GroupName::parse("g").unwrap();
            let contender = Contender::parse("ex1").unwrap();
            show_broken(&group, &contender, &znode(data, owner), &mut output).unwrap();
            output.finish().unwrap();
            assert_eq!(String::from_utf8(printed).unwrap(), format!("broke g/ex1: {rest}\n"));
        }
    }
}
