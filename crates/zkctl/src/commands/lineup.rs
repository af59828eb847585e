//! The rows of `zkctl locks`, in all formats.

use super::znode_stat::{object, utc};
use crate::format::{Choice, End};
use crate::output::Output;
use farm_core::cli::Failure;
use farm_core::farm::permit::{Contender, ContenderInfo, GroupName, Queue};
use farm_core::model::Value;
use farm_core::session::{SessionId, Stat};
use std::collections::BTreeMap;
use std::io::Write;

/// The names of the columns of tsv.
const COLUMNS: [&str; 9] = ["group", "state", "id", "since", "host", "pid", "n", "session", "why"];

/// A contender as it was read.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) card: ContenderInfo,
    pub(super) stat: Stat,
}

impl Seen {
    /// By the host's own clock if it says so, else by the server's.
    fn since_ms(&self) -> i64 {
        self.card.since_ms.unwrap_or(self.stat.ctime_ms)
    }

    fn session(&self) -> Option<String> {
        let owner = self.stat.ephemeral_owner;
        (owner != 0).then(|| SessionId(owner).to_string())
    }

    fn pid(&self) -> String {
        self.card.pid.map_or_else(String::new, |pid| pid.to_string())
    }

    /// Whose it is, as short as people can tell it apart.
    fn whose(&self) -> String {
        match (&self.card.host, self.session()) {
            (Some(host), _) => host.clone(),
            (None, Some(session)) => format!("session={session}"),
            (None, None) => "persistent".to_owned(),
        }
    }
}

/// A contender, and whether it is its turn.
#[derive(Debug)]
pub(super) struct Contended {
    group: String,
    place: Contender,
    is_turn: bool,
    seen: Seen,
}

impl Contended {
    /// Tells whose turn it is, by the rule that each of them goes by.
    pub(super) fn in_order(group: &GroupName, found: Vec<(Contender, Seen)>) -> Vec<Self> {
        let line = Queue::of(found.iter().map(|(place, _)| place.name()));
        let mut found: BTreeMap<Contender, Seen> = found.into_iter().collect();
        // Who does not say how many may hold is a member with room for one.
        let holders = |place: &Contender| {
            let stated = found.get(place).and_then(|seen| seen.card.holders);
            stated.map_or(1, std::num::NonZero::get)
        };
        let turns: Vec<(Contender, bool)> =
            line.turns(holders).map(|(place, is_turn)| (place.clone(), is_turn)).collect();
        let contended = turns.into_iter().filter_map(|(place, is_turn)| {
            let seen = found.remove(&place)?;
            Some(Self { group: group.to_string(), place, is_turn, seen })
        });
        contended.collect()
    }

    const fn state(&self) -> &'static str {
        if self.is_turn { "holds" } else { "waits" }
    }

    fn line(&self) -> String {
        let (id, since) = (self.place.name(), utc(self.seen.since_ms()));
        let (whose, pid) = (self.seen.whose(), self.seen.pid());
        let why = self.seen.card.why.as_deref().unwrap_or_default();
        let (group, state) = (&self.group, self.state());
        let pid = if pid.is_empty() { "-" } else { &pid };
        let line =
            format!("{group:<20} {state:<5} {id:<12} {since:<20} {whose:<20} {pid:>7} {why}");
        line.trim_end_matches(' ').to_owned()
    }

    fn cells(&self) -> [String; 9] {
        let Seen { card, .. } = &self.seen;
        [
            self.group.clone(),
            self.state().to_owned(),
            self.place.name().to_owned(),
            utc(self.seen.since_ms()),
            card.host.clone().unwrap_or_default(),
            self.seen.pid(),
            card.holders.map_or_else(String::new, |n| n.to_string()),
            self.seen.session().unwrap_or_default(),
            card.why.clone().unwrap_or_default(),
        ]
    }

    fn object(&self) -> Value {
        let Seen { card, stat } = &self.seen;
        object([
            ("v", Value::from(1)),
            ("group", Value::from(self.group.as_str())),
            ("id", Value::from(self.place.name())),
            ("state", Value::from(self.state())),
            ("since", Value::from(self.seen.since_ms())),
            ("host", Value::from(card.host.clone())),
            ("pid", Value::from(card.pid)),
            ("n", Value::from(card.holders.map(std::num::NonZero::get))),
            ("why", Value::from(card.why.clone())),
            ("session", Value::from(self.seen.session())),
            ("ctime", Value::from(stat.ctime_ms)),
            ("czxid", Value::from(stat.czxid)),
        ])
    }
}

/// Shows them all, below a line of names if `has_header`.
pub(super) fn show(
    contenders: &[Contended],
    choice: Choice,
    has_header: bool,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    if has_header {
        output.cells(COLUMNS, choice.end)?;
    }
    output.list(choice, contenders, Contended::line, Contended::cells, Contended::object)
}

/// Says what was deleted.
pub(super) fn show_broken(
    group: &GroupName,
    place: &Contender,
    seen: &Seen,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    let whose = match &seen.card.host {
        Some(host) => format!("host={host} pid={}", seen.pid()),
        None => seen.whose(),
    };
    let since = utc(seen.since_ms());
    let mut line = format!("broke {group}/{}: {whose} since={since}", place.name());
    if let Some(why) = &seen.card.why {
        line += &format!(" why=\"{why}\"");
    }
    output.row(&line, End::Newline)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Layout;

    fn seen(card: &str, ephemeral_owner: i64) -> Seen {
        let stat = Stat {
            czxid: 0x1_0000_002a,
            ctime_ms: 1_700_000_000_123,
            ephemeral_owner,
            ..Stat::default()
        };
        Seen { card: ContenderInfo::read(card.as_bytes()), stat }
    }

    fn contenders() -> Vec<Contended> {
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
            found.map(|(name, card, owner)| (Contender::parse(name).unwrap(), seen(card, owner)));
        Contended::in_order(&GroupName::parse("services/db").unwrap(), found.into())
    }

    fn shown(layout: Layout, end: End, has_header: bool) -> String {
        let mut shown = Vec::new();
        let mut output = Output::into(&mut shown);
        show(&contenders(), Choice { layout, end }, has_header, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(shown).unwrap()
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
            let shown = shown(layout, End::Newline, has_header);
            assert_eq!(shown, golden, "{layout:?}:\n{shown}");
        }
    }

    #[test]
    fn nul_ends_lines_in_place_of_newlines() {
        for layout in [Layout::Text, Layout::Tsv, Layout::Jsonl] {
            let shown = shown(layout, End::Nul, false);
            assert_eq!(shown.matches('\0').count(), contenders().len(), "{layout:?}");
        }
    }

    #[test]
    fn what_was_broken_is_said_on_one_line() {
        let table = [
            (
                r#"{"host":"db-01","pid":7,"since":0,"why":"a\nb"}"#,
                1,
                "host=db-01 pid=7 since=1970-01-01T00:00:00Z why=\"a\\nb\"",
            ),
            ("", 0xab, "session=0xab since=2023-11-14T22:13:20Z"),
            ("", 0, "persistent since=2023-11-14T22:13:20Z"),
        ];
        for (card, owner, rest) in table {
            let mut shown = Vec::new();
            let mut output = Output::into(&mut shown);
            let (group, place) = (GroupName::parse("g").unwrap(), Contender::parse("ex1").unwrap());
            show_broken(&group, &place, &seen(card, owner), &mut output).unwrap();
            output.finish().unwrap();
            assert_eq!(String::from_utf8(shown).unwrap(), format!("broke g/ex1: {rest}\n"));
        }
    }
}
