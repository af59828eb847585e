//! A group with its members, in all formats.

use super::look::{Look, Member};
use super::wording::{control_object, orders, origin, state_name, verdict_fields};
use crate::commands::lock_queue::Place;
use crate::commands::znode_stat::{object, utc};
use crate::format::{Layout, OutputFormat};
use crate::output::Output;
use farm_core::cli::Failure;
use farm_core::farm::rollout::{Verdict, Version, VersionRecord};
use farm_core::model::{Map, Value};
use std::collections::HashMap;
use std::io::Write;

/// The names of the columns of tsv.
const COLUMNS: [&str; 13] = [
    "id",
    "state",
    "wanted",
    "running",
    "confirmed",
    "since",
    "health",
    "done",
    "reason",
    "waits_for",
    "holders",
    "host",
    "pid",
];

/// How many holders of the lock are named for each member.
const HOLDERS_MAX: usize = 16;

/// A group, as it is shown.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    look: &'a Look,
    rows: Vec<Row<'a>>,
}

/// A member, or a contender that belongs to none.
#[derive(Debug)]
enum Row<'a> {
    Member { member: &'a Member, is_done: bool, is_behind: bool, holders: Vec<String> },
    Stranger(&'a Place),
}

impl<'a> Picture<'a> {
    pub(super) fn of(look: &'a Look) -> Self {
        let ids = look.ids_by_session();
        let place_of: HashMap<i64, usize> =
            look.queue.iter().map(|place| place.znode.stat.ephemeral_owner).zip(0..).collect();
        let holders: Vec<(usize, String)> = (0..)
            .zip(&look.queue)
            .filter(|(_, place)| place.is_turn)
            .take(HOLDERS_MAX)
            .map(|(at, place)| {
                let id = ids.get(&place.znode.stat.ephemeral_owner);
                (at, id.map_or_else(|| place.znode.owner(), |id| (*id).to_owned()))
            })
            .collect();
        let member_row = |member: &'a Member| {
            let waits = member.record.waits_for.as_deref() == Some("lock");
            let place = place_of.get(&member.owner).filter(|_| waits && member.owner != 0);
            let before = holders.iter().filter(|(at, _)| place.is_some_and(|place| at < place));
            Row::Member {
                member,
                is_done: member.is_done(&look.control),
                is_behind: member.is_behind(&look.control),
                holders: before.map(|(_, name)| name.clone()).collect(),
            }
        };
        let members = look.members.iter().map(member_row);
        let rows = members.chain(look.strangers().map(Row::Stranger)).collect();
        Self { look, rows }
    }

    /// Prints the group.
    pub(super) fn show(
        &self,
        format: OutputFormat,
        has_header: bool,
        now_ms: i64,
        output: &mut Output<impl Write>,
    ) -> Result<(), Failure> {
        let end = format.terminator;
        match format.layout {
            Layout::Text => self.lines(now_ms).iter().try_for_each(|line| output.row(line, end)),
            Layout::Tsv => {
                if has_header {
                    output.cells(COLUMNS, end)?;
                }
                self.rows.iter().try_for_each(|row| output.cells(row.cells(), end))
            }
            Layout::Jsonl => output.json_line(&self.object(), end),
            Layout::Json => output.json(&self.object()),
            Layout::Yaml => output.yaml(&self.object()),
        }
    }

    /// The text, line by line.
    pub(super) fn lines(&self, now_ms: i64) -> Vec<String> {
        let mut lines = self.head(now_ms);
        lines.extend(self.rows.iter().map(Row::line));
        lines
    }

    /// The lines about the group as a whole.
    pub(super) fn head(&self, now_ms: i64) -> Vec<String> {
        let Look { group, control, members, .. } = self.look;
        let mut lines =
            vec![format!("{group}: {} of {} confirmed", self.look.done(), members.len())];
        let orders = orders(control, now_ms);
        if !orders.is_empty() {
            let origin = origin(control.by.as_deref(), control.at_ms, control.why.as_deref());
            let origin = if origin.is_empty() { origin } else { format!(" ({origin})") };
            lines.push(format!("control: {}{origin}", orders.join(", ")));
        }
        lines.extend(self.versions().map(|(version, record, members)| {
            let verdict = record.map_or_else(|| "not tried".to_owned(), verdict_text);
            format!("version {version} wanted by {members}: {verdict}")
        }));
        lines
    }

    /// The lines about the members that have something left to do, and about contenders that
    /// belong to none.
    pub(super) fn undone(&self) -> Vec<String> {
        let undone =
            self.rows.iter().filter(|row| !matches!(row, Row::Member { is_done: true, .. }));
        undone.map(Row::line).collect()
    }

    /// Each wanted version, what is known of it, and how many members want it.
    fn versions(&self) -> impl Iterator<Item = (Version, Option<&VersionRecord>, usize)> {
        let wanted = self.look.wanted().into_iter();
        wanted.map(|version| {
            let members = &self.look.members;
            let members = members.iter().filter(|member| member.wanted == Some(version)).count();
            (version, self.look.versions.get(&version), members)
        })
    }

    /// The group as an object.
    pub(super) fn object(&self) -> Value {
        let Look { group, control, members, .. } = self.look;
        let version = |(version, record, members): (Version, Option<&VersionRecord>, usize)| {
            let fields = verdict_fields(record).into_iter();
            let first =
                [("version", version.to_string().into()), ("members", Value::from(members))];
            let all = first.into_iter().chain(fields);
            Value::Object(all.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
        };
        let (mut rows, mut strangers) = (Vec::new(), Vec::new());
        for row in &self.rows {
            match row {
                Row::Member { member, is_done, holders, .. } => {
                    rows.push(member_object(member, *is_done, holders));
                }
                Row::Stranger(place) => strangers.push(contender_object(place)),
            }
        }
        object([
            ("v", Value::from(1)),
            ("group", Value::from(group.as_str())),
            ("total", Value::from(members.len())),
            ("done", Value::from(self.look.done())),
            ("control", control_object(control)),
            ("versions", self.versions().map(version).collect()),
            ("members", Value::Array(rows)),
            ("contenders", Value::Array(strangers)),
        ])
    }
}

impl Row<'_> {
    fn line(&self) -> String {
        let (id, state, running, since, health, notes) = match self {
            Self::Member { member, is_behind, holders, .. } => {
                let record = &member.record;
                (
                    member.id.as_str(),
                    state_name(record.state),
                    version_text(record.versions.running),
                    record.since_ms.map(utc),
                    health_name(record.is_healthy),
                    member_notes(member, *is_behind, holders),
                )
            }
            Self::Stranger(place) => (
                place.contender.name(),
                place.state(),
                String::new(),
                Some(utc(place.znode.since_ms())),
                "",
                format!("{}, no member that tells what it does", place.znode.owner()),
            ),
        };
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let (running, since) = (dash(running), dash(since.unwrap_or_default()));
        let health = if health.is_empty() { "-" } else { health };
        let line = format!("{id:<20} {state:<11} {running:<12} {since:<20} {health:<7} {notes}");
        line.trim_end_matches(' ').to_owned()
    }

    fn cells(&self) -> [String; 13] {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match self {
            Self::Member { member, is_done, holders, .. } => {
                let record = &member.record;
                [
                    member.id.clone(),
                    state_name(record.state).to_owned(),
                    version_text(member.wanted),
                    version_text(record.versions.running),
                    version_text(record.versions.confirmed),
                    record.since_ms.map(utc).unwrap_or_default(),
                    health_name(record.is_healthy).to_owned(),
                    is_done.to_string(),
                    text(&record.reason),
                    text(&record.waits_for),
                    holders.join(","),
                    text(&record.host),
                    record.pid.map_or_else(String::new, |pid| pid.to_string()),
                ]
            }
            Self::Stranger(place) => {
                let mut cells = [const { String::new() }; 13];
                cells[0] = place.contender.name().to_owned();
                cells[1] = place.state().to_owned();
                cells[5] = utc(place.znode.since_ms());
                cells[7] = false.to_string();
                cells[11] = text(&place.znode.info.host);
                cells[12] = place.znode.pid();
                cells
            }
        }
    }
}

fn version_text(version: Option<Version>) -> String {
    version.map_or_else(String::new, |version| version.to_string())
}

const fn health_name(is_healthy: Option<bool>) -> &'static str {
    match is_healthy {
        Some(true) => "ok",
        Some(false) => "failing",
        None => "",
    }
}

fn verdict_text(record: &VersionRecord) -> String {
    let mut text = record.verdict.name().to_owned();
    let origin = origin(record.by.as_deref(), record.at_ms, record.reason.as_deref());
    if !origin.is_empty() {
        text += &format!(" {origin}");
    }
    // After an outcome they count no more.
    if record.verdict == Verdict::Trying && record.tries > 0 {
        text += &format!(", {}", tries_text(record.tries));
    }
    text
}

fn tries_text(tries: usize) -> String {
    if tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") }
}

/// Why a member is not done, and for whom it waits.
fn member_notes(member: &Member, is_behind: bool, holders: &[String]) -> String {
    let record = &member.record;
    let mut notes: Vec<String> = record.reason.clone().into_iter().collect();
    notes.extend(is_behind.then(|| "has to restart".to_owned()));
    notes.extend(record.waits_for.as_ref().map(|what| match holders {
        [] => format!("waits for {what}"),
        holders => format!("waits for {what}: {}", holders.join(", ")),
    }));
    notes.join("; ")
}

fn member_object(member: &Member, is_done: bool, holders: &[String]) -> Value {
    let record = &member.record;
    let version = |version: Option<Version>| Value::from(version.map(|v| v.to_string()));
    let holders = holders.iter().map(|holder| Value::from(holder.as_str())).collect();
    object([
        ("id", Value::from(member.id.as_str())),
        ("host", Value::from(record.host.clone())),
        ("pid", Value::from(record.pid)),
        ("state", Value::from(record.state.map(|state| state.name()))),
        ("since", Value::from(record.since_ms)),
        ("wanted", version(member.wanted)),
        ("running", version(record.versions.running)),
        ("confirmed", version(record.versions.confirmed)),
        ("restarted", Value::from(record.restarted)),
        ("done", Value::from(is_done)),
        ("health", Value::from(record.is_healthy.map(|it| health_name(Some(it))))),
        ("reason", Value::from(record.reason.clone())),
        ("waits_for", Value::from(record.waits_for.clone())),
        ("holders", Value::Array(holders)),
        ("n", Value::from(record.holders.map(std::num::NonZero::get))),
    ])
}

fn contender_object(place: &Place) -> Value {
    object([
        ("id", Value::from(place.contender.name())),
        ("state", Value::from(place.state())),
        ("since", Value::from(place.znode.since_ms())),
        ("host", Value::from(place.znode.info.host.clone())),
        ("pid", Value::from(place.znode.info.pid)),
        ("session", Value::from(place.znode.session())),
        ("why", Value::from(place.znode.info.why.clone())),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{failed_group, queue};
    use super::*;
    use crate::format::Terminator;

    const NOW_MS: i64 = 1_700_000_100_000;

    fn printed(look: &Look, layout: Layout, has_header: bool) -> String {
        let mut printed = Vec::new();
        let mut output = Output::into(&mut printed);
        let format = OutputFormat { layout, terminator: Terminator::Newline };
        Picture::of(look).show(format, has_header, NOW_MS, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let table = [
            (Layout::Text, false, include_str!("../../../tests/golden/rollout.txt")),
            (Layout::Tsv, false, include_str!("../../../tests/golden/rollout.tsv")),
            (Layout::Tsv, true, include_str!("../../../tests/golden/rollout-header.tsv")),
            (Layout::Jsonl, false, include_str!("../../../tests/golden/rollout.jsonl")),
            (Layout::Json, false, include_str!("../../../tests/golden/rollout.json")),
            (Layout::Yaml, false, include_str!("../../../tests/golden/rollout.yaml")),
        ];
        let look = failed_group();
        for (layout, has_header, golden) in table {
            let printed = printed(&look, layout, has_header);
            assert_eq!(printed, golden, "{layout:?}:\n{printed}");
        }
    }

    #[test]
    fn a_member_waits_for_those_that_hold_the_lock_before_it() {
        let holders_of_web_3 = |look: &Look| {
            let object = Picture::of(look).object();
            object["members"][2]["holders"].clone()
        };
        let mut look = failed_group();
        assert_eq!(holders_of_web_3(&look), serde_json::json!(["session=0x63", "web-2"]));
        look.queue = queue(&[("ex1", 1, ""), ("ex2", 2, ""), ("ex3", 3, "")]);
        assert_eq!(holders_of_web_3(&look), serde_json::json!(["web-1"]));
        // It has no contender yet, or is the first.
        for contenders in [&[("ex1", 1, "")][..], &[("ex1", 3, ""), ("ex2", 1, "")]] {
            look.queue = queue(contenders);
            assert_eq!(holders_of_web_3(&look), serde_json::json!([]));
        }
    }

    #[test]
    fn what_is_shown_live_leaves_out_those_that_are_done() {
        let look = failed_group();
        let picture = Picture::of(&look);
        let undone = picture.undone();
        assert_eq!(undone.len(), 4, "{undone:?}");
        assert!(!undone.iter().any(|line| line.starts_with("web-1")), "{undone:?}");
    }
}
