//! `zkctl rollout history`: what came of the versions of a group.

use super::target::{GroupArg, Target};
use super::wording::verdict_fields;
use crate::commands::znode_stat::utc;
use crate::connection::Connection;
use crate::format::{HeaderArg, OutputArgs, OutputFormat};
use crate::output::Output;
use clap::Args;
use farm_core::cli::{Exit, Failure};
use farm_core::farm::rollout::VersionRecord;
use farm_core::model::{Map, Value};
use farm_core::session::{Client, SessionError, Watch, ZnodePath};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  zkctl rollout history app
  zkctl rollout history app -o tsv --header";

/// How many versions are read at once.
const READS_MAX: usize = 128;

/// The names of the columns of tsv.
const COLUMNS: [&str; 6] = ["version", "verdict", "at", "by", "tried_by", "reason"];

/// Show what came of the versions of a group, newest first
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    group: GroupArg,

    #[command(flatten)]
    header: HeaderArg,
}

/// A version, and what is known of it.
#[derive(Debug)]
struct Entry {
    group: String,
    version: String,
    record: Option<VersionRecord>,
    /// When it was changed last, in the order of the server.
    mzxid: i64,
}

pub(super) fn history(
    args: &HistoryArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let target = args.group.target()?;
    let format = output.choose("rollout history")?;
    let has_header = args.header.with(format)?;
    let asked = target.clone();
    let entries = connection.ask(move |client, _| read(client, &asked))?;
    let entries = entries.ok_or_else(|| target.missing())?;
    let mut output = Output::open();
    show(&entries, format, has_header, &mut output)?;
    output.finish()?;
    Ok(Exit::Done)
}

/// All versions, the one that was changed last first; `None` if there is no such group.
fn read(client: &Client, target: &Target) -> Result<Option<Vec<Entry>>, SessionError> {
    let names = match client.children(target.paths.versions(), Watch::No) {
        Ok(names) => names,
        Err(SessionError::NoNode(_)) => {
            return Ok(target.exists(client)?.then(Vec::new));
        }
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for names in names.chunks(READS_MAX) {
        let (names, paths): (Vec<&String>, Vec<ZnodePath>) = names
            .iter()
            .filter_map(|name| Some((name, target.paths.versions().child(name).ok()?)))
            .unzip();
        for (name, znode) in names.into_iter().zip(client.get_many(&paths)?) {
            let znode = match znode {
                Ok(znode) => znode,
                Err(SessionError::NoNode(_)) => continue,
                Err(error) => return Err(error),
            };
            entries.push(Entry {
                group: target.group.to_string(),
                version: name.clone(),
                record: VersionRecord::read(&znode.data),
                mzxid: znode.stat.mzxid,
            });
        }
    }
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.mzxid));
    Ok(Some(entries))
}

impl Entry {
    fn line(&self) -> String {
        let [version, verdict, at, by, tried_by, reason] = self.cells();
        let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let (verdict, at, by) = (dash(verdict), dash(at), dash(by));
        let tried_by = tried_by.replace(',', ", ");
        let notes = match (tried_by.is_empty(), reason.is_empty()) {
            (true, _) => reason,
            (false, true) => format!("tried by {tried_by}"),
            (false, false) => format!("tried by {tried_by}: {reason}"),
        };
        let line = format!("{version:<12} {verdict:<9} {at:<20} {by:<20} {notes}");
        line.trim_end_matches(' ').to_owned()
    }

    fn cells(&self) -> [String; 6] {
        let record = self.record.as_ref();
        let text = |text: Option<String>| text.unwrap_or_default();
        let tried_by = record.map(|record| record.triers().collect::<Vec<_>>().join(","));
        [
            self.version.clone(),
            text(record.map(|record| record.verdict.name().to_owned())),
            text(record.and_then(|record| record.at_ms).map(utc)),
            text(record.and_then(|record| record.by.clone())),
            text(tried_by),
            text(record.and_then(|record| record.reason.clone())),
        ]
    }

    fn object(&self) -> Value {
        let first = [
            ("v", Value::from(1)),
            ("group", Value::from(self.group.as_str())),
            ("version", Value::from(self.version.as_str())),
            ("mzxid", Value::from(self.mzxid)),
        ];
        let all = first.into_iter().chain(verdict_fields(self.record.as_ref()));
        Value::Object(all.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    }
}

fn show(
    entries: &[Entry],
    format: OutputFormat,
    has_header: bool,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    if has_header {
        output.cells(COLUMNS, format.terminator)?;
    }
    output.list(format, entries, Entry::line, Entry::cells, Entry::object)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NEW, OLD, known};
    use super::*;
    use crate::format::{Layout, Terminator};
    use serde_json::json;

    fn printed(layout: Layout, has_header: bool) -> String {
        let at = 1_700_000_000_000_i64;
        let refused = json!({
            "verdict": "refused", "by": "web-2", "at": at, "tries": 2, "reason": "it\nended",
            "trials": [{"id": "web-1", "token": "t"}, {"id": "web-2", "token": "t"}],
        });
        let confirmed = json!({"verdict": "confirmed", "by": "web-1", "at": at - 60_000});
        let entry = |version: &str, record, mzxid| Entry {
            group: "app".to_owned(),
            version: version.to_owned(),
            record,
            mzxid,
        };
        let entries = [
            entry(NEW, Some(known(NEW, &refused).1), 9),
            entry(OLD, Some(known(OLD, &confirmed).1), 8),
            entry("stranger", None, 7),
        ];
        let mut printed = Vec::new();
        let mut output = Output::into(&mut printed);
        let format = OutputFormat { layout, terminator: Terminator::Newline };
        show(&entries, format, has_header, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let table = [
            (Layout::Text, false, include_str!("../../../tests/golden/rollout-history.txt")),
            (Layout::Tsv, true, include_str!("../../../tests/golden/rollout-history-header.tsv")),
            (Layout::Jsonl, false, include_str!("../../../tests/golden/rollout-history.jsonl")),
            (Layout::Json, false, include_str!("../../../tests/golden/rollout-history.json")),
            (Layout::Yaml, false, include_str!("../../../tests/golden/rollout-history.yaml")),
        ];
        for (layout, has_header, golden) in table {
            let printed = printed(layout, has_header);
            assert_eq!(printed, golden, "{layout:?}:\n{printed}");
        }
    }
}
