//! The rows of `zkctl locks`, in all formats.

use super::lock_queue::{ContenderZnode, Place};
use super::znode_stat::{object, utc};
use crate::format::{OutputFormat, Terminator};
use crate::output::Output;
use farm_core::cli::Failure;
use farm_core::farm::permit::{Contender, GroupName};
use farm_core::model::Value;
use std::io::Write;

/// The names of the columns of tsv.
const COLUMNS: [&str; 9] = ["group", "state", "id", "since", "host", "pid", "n", "session", "why"];

/// A contender of a group.
#[derive(Debug)]
pub(super) struct QueueEntry {
    group: String,
    place: Place,
}

impl QueueEntry {
    pub(super) fn of(group: &GroupName, place: Place) -> Self {
        Self { group: group.to_string(), place }
    }

    fn line(&self) -> String {
        let (id, since) = (self.place.contender.name(), utc(self.place.znode.since_ms()));
        let (owner, pid) = (self.place.znode.owner(), self.place.znode.pid());
        let why = self.place.znode.info.why.as_deref().unwrap_or_default();
        let (group, state) = (&self.group, self.place.state());
        let pid = if pid.is_empty() { "-" } else { &pid };
        let line =
            format!("{group:<20} {state:<5} {id:<12} {since:<20} {owner:<20} {pid:>7} {why}");
        line.trim_end_matches(' ').to_owned()
    }

    fn cells(&self) -> [String; 9] {
        let ContenderZnode { info, .. } = &self.place.znode;
        [
            self.group.clone(),
            self.place.state().to_owned(),
            self.place.contender.name().to_owned(),
            utc(self.place.znode.since_ms()),
            info.host.clone().unwrap_or_default(),
            self.place.znode.pid(),
            info.holders.map_or_else(String::new, |n| n.to_string()),
            self.place.znode.session().unwrap_or_default(),
            info.why.clone().unwrap_or_default(),
        ]
    }

    fn object(&self) -> Value {
        let ContenderZnode { info, stat } = &self.place.znode;
        object([
            ("v", Value::from(1)),
            ("group", Value::from(self.group.as_str())),
            ("id", Value::from(self.place.contender.name())),
            ("state", Value::from(self.place.state())),
            ("since", Value::from(self.place.znode.since_ms())),
            ("host", Value::from(info.host.clone())),
            ("pid", Value::from(info.pid)),
            ("n", Value::from(info.holders.map(std::num::NonZero::get))),
            ("why", Value::from(info.why.clone())),
            ("session", Value::from(self.place.znode.session())),
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
    use farm_core::farm::permit::ContenderInfo;
    use farm_core::session::Stat;

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
        let group = GroupName::parse("services/db").unwrap();
        let places = Place::in_order(found.into()).into_iter();
        places.map(|place| QueueEntry::of(&group, place)).collect()
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
