//! The rows of `zkctl ls`, in all formats.

use super::children::Child;
use super::field::value_text;
use super::znode_stat::{COLUMNS, columns, object, short};
use crate::format::{Layout, OutputFormat};
use crate::output::Output;
use farm_core::cli::Failure;
use farm_core::model::{FieldPath, Filter, Rank, Selection, Value};
use std::io::Write;

/// Which children are shown, in which order, and what of each.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) fields: Option<Selection>,
    pub(super) filter: Option<Filter>,
    pub(super) sort: Option<FieldPath>,
    pub(super) is_long: bool,
    pub(super) has_header: bool,
}

impl View {
    /// Does the answer need the data of the children, and not only their names?
    pub(super) const fn needs_content(&self, layout: Layout) -> bool {
        let is_plain = matches!(layout, Layout::Text | Layout::Tsv);
        !is_plain
            || self.fields.is_some()
            || self.filter.is_some()
            || self.sort.is_some()
            || self.is_long
    }

    fn fields(&self) -> &[FieldPath] {
        self.fields.as_ref().map_or(&[], Selection::fields)
    }

    /// Filters and sorts. A child whose record cannot be read passes no filter.
    pub(super) fn select(&self, mut children: Vec<Child>) -> Vec<Child> {
        for why in children.iter().filter_map(|child| child.content.as_ref().err()) {
            log::warn!("{why}");
        }
        if let Some(filter) = &self.filter {
            children.retain(|child| child.record().is_some_and(|record| filter.keeps(&record)));
        }
        if let Some(field) = &self.sort {
            let value = |child: &Child| child.record()?.get(field).cloned();
            children.sort_by_cached_key(|child| Rank::of(value(child).as_ref()));
        }
        children
    }

    pub(super) fn show(
        &self,
        children: &[Child],
        format: OutputFormat,
        output: &mut Output<impl Write>,
    ) -> Result<(), Failure> {
        if self.has_header && format.layout == Layout::Tsv {
            output.cells(self.header(), format.terminator)?;
        }
        let (line, cells) = (|child: &Child| self.line(child), |child: &Child| self.cells(child));
        output.list(format, children, line, cells, |child| self.object(child))
    }

    fn line(&self, child: &Child) -> String {
        let record = child.record();
        let fields: Vec<String> = self
            .fields()
            .iter()
            .filter_map(|field| {
                Some(format!("{field}={}", value_text(record.as_ref()?.get(field)?)))
            })
            .collect();
        let line = format!("{:<20} {}", child.location.name, fields.join(", "));
        let line = line.trim_end_matches(' ');
        if !self.is_long {
            return line.to_owned();
        }
        let [kind, version, bytes, children, mtime] = columns(child.stat.as_ref());
        format!("{kind:<10} {version:>6} {bytes:>7} {children:>5} {mtime:<20} {line}")
    }

    fn header(&self) -> Vec<String> {
        let long = if self.is_long { &COLUMNS[..] } else { &[] };
        let names = std::iter::once("name").chain(long.iter().copied()).map(str::to_owned);
        names.chain(self.fields().iter().map(ToString::to_string)).collect()
    }

    fn cells(&self, child: &Child) -> Vec<String> {
        let mut cells = vec![child.location.name.clone()];
        if self.is_long {
            cells.extend(columns(child.stat.as_ref()));
        }
        let record = child.record();
        let value = |field| record.as_ref().and_then(|record| record.get(field)).map(value_text);
        cells.extend(self.fields().iter().map(|field| value(field).unwrap_or_default()));
        cells
    }

    fn object(&self, child: &Child) -> Value {
        let path = child.location.path.as_ref().map_or(Value::Null, |path| path.to_string().into());
        let mut row = object([
            ("v", Value::from(1)),
            ("path", path),
            ("name", Value::from(child.location.name.as_str())),
            ("stat", child.stat.as_ref().map_or(Value::Null, short)),
            ("data", Value::Null),
        ]);
        match &child.content {
            Ok(packed) => {
                let whole = packed.unpack();
                let selected = self.fields.as_ref().map(|fields| fields.of(&whole));
                let record = selected.unwrap_or_else(|| whole.into_owned());
                row["data"] = Value::Object(record.into_map());
            }
            Err(why) => row["error"] = Value::from(why.as_str()),
        }
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::children::{Location, decode};
    use crate::format::Terminator;
    use farm_core::session::{Stat, ZnodePath};
    use serde_json::json;

    fn child(name: &str, znode: &str) -> Child {
        let path = ZnodePath::root().child(name).unwrap();
        let content = decode(&path, znode.as_bytes());
        Child {
            location: Location { name: name.to_owned(), path: Ok(path) },
            content,
            stat: Some(Stat::default()),
        }
    }

    fn view(fields: &str, filter: &str, sort: &str) -> View {
        let field = |text: &str| FieldPath::parse(text).unwrap();
        View {
            fields: (!fields.is_empty()).then(|| fields.parse().unwrap()),
            filter: (!filter.is_empty()).then(|| Filter::parse(filter).unwrap()),
            sort: (!sort.is_empty()).then(|| field(sort)),
            ..View::default()
        }
    }

    const DB: &str =
        r#"{"hostname":"db-01","enabled":"0","size":3,"mysql":{"delay":1.50},"off":null}"#;

    #[test]
    fn a_line_is_a_padded_name_and_the_fields_that_are_there() {
        let table = [
            ("1.2.3.4", "hostname,enabled", "1.2.3.4              hostname=db-01, enabled=0"),
            ("1.2.3.4", "enabled,hostname", "1.2.3.4              enabled=0, hostname=db-01"),
            ("1.2.3.4", "mysql.delay,none,size", "1.2.3.4              mysql.delay=1.50, size=3"),
            ("1.2.3.4", "mysql", "1.2.3.4              mysql={\"delay\":1.50}"),
            ("1.2.3.4", "off", "1.2.3.4              off=null"),
            ("1.2.3.4", "none", "1.2.3.4"),
            ("1.2.3.4", "", "1.2.3.4"),
            (
                "a-name-that-is-longer-than-twenty",
                "size",
                "a-name-that-is-longer-than-twenty size=3",
            ),
        ];
        for (name, fields, expected) in table {
            assert_eq!(view(fields, "", "").line(&child(name, DB)), expected, "{fields}");
        }
        let long = View { is_long: true, ..view("size", "", "") };
        assert_eq!(
            long.line(&child("1.2.3.4", DB)),
            "persistent      0       0     0 1970-01-01T00:00:00Z 1.2.3.4              size=3"
        );
    }

    #[test]
    fn cells_are_in_the_column_of_their_field() {
        let table = [
            ("hostname,none,off", DB, vec!["h", "db-01", "", "null"]),
            ("mysql,size", DB, vec!["h", "{\"delay\":1.50}", "3"]),
            ("", DB, vec!["h"]),
            ("a,b", "nonsense", vec!["h", "", ""]),
        ];
        for (fields, znode, cells) in table {
            assert_eq!(view(fields, "", "").cells(&child("h", znode)), cells, "{fields}");
        }
        let long = View { is_long: true, ..view("a.b,c\\.d", "", "") };
        let header = ["name", "kind", "version", "bytes", "children", "mtime", "a.b", "c\\.d"];
        assert_eq!(long.header(), header);
        assert_eq!(long.cells(&child("h", "{}")).len(), header.len());
    }

    #[test]
    fn objects_have_the_requested_fields() {
        let data = |fields, znode| view(fields, "", "").object(&child("h", znode))["data"].clone();
        let znode = r#"{"a":{"b":1,"c":2},"d":[1],"e":"x"}"#;
        assert_eq!(data("", znode), json!({"a": {"b": 1, "c": 2}, "d": [1], "e": "x"}));
        assert_eq!(data("a.b,d", znode), json!({"a": {"b": 1}, "d": [1]}));
        let broken = view("", "", "").object(&child("h", "[1]"));
        assert_eq!(broken["data"], Value::Null);
        assert!(broken["error"].as_str().unwrap().starts_with("/h holds no record: "), "{broken}");
    }

    #[test]
    fn filters_select_and_malformed_children_pass_none() {
        let names = |view: View| {
            let children = vec![
                child("b10", r#"{"enabled":"1","n":10}"#),
                child("broken", "[1]"),
                child("c9", r#"{"enabled":"0","n":"9"}"#),
                child("d", "{}"),
            ];
            let kept = view.select(children);
            kept.into_iter().map(|child| child.location.name).collect::<Vec<_>>()
        };
        assert_eq!(names(view("", "", "")), ["b10", "broken", "c9", "d"]);
        assert_eq!(names(view("", "enabled=1", "")), ["b10"]);
        assert_eq!(names(view("", "!gone", "")), ["b10", "c9", "d"]);
        assert_eq!(names(view("", "", "n")), ["c9", "b10", "broken", "d"]);
    }

    /// A farm with names and data that need escaping.
    fn farm() -> Vec<Child> {
        let stat = Stat {
            mzxid: 0x1_0000_002a,
            mtime_ms: 1_700_000_000_123,
            version: 3,
            ephemeral_owner: 0x1_0000_0001,
            data_length: 30,
            ..Stat::default()
        };
        let lines = r#"{"hostname":"a\tb\nc\\d","enabled":true,"mysql":{"delay":1e400}}"#;
        vec![
            Child { stat: Some(stat), ..child("1.2.3.4", DB) },
            Child { stat: Some(Stat { ephemeral_owner: 0, ..stat }), ..child("1.2.3.5", lines) },
            Child {
                stat: Some(Stat { version: 0, ..stat }),
                ..child("broken\u{2028}", "nonsense")
            },
            Child { stat: None, ..child("empty", "") },
        ]
    }

    fn printed(layout: Layout, terminator: Terminator, view: &View) -> String {
        let mut printed = Vec::new();
        let mut output = Output::into(&mut printed);
        view.show(&farm(), OutputFormat { layout, terminator }, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let narrow = || view("hostname,enabled,mysql.delay", "", "");
        let long = View { is_long: true, has_header: true, ..narrow() };
        let table = [
            (Layout::Text, narrow(), include_str!("../../tests/golden/ls.txt")),
            (Layout::Text, long, include_str!("../../tests/golden/ls-long.txt")),
            (Layout::Json, view("", "", ""), include_str!("../../tests/golden/ls.json")),
            (Layout::Jsonl, narrow(), include_str!("../../tests/golden/ls.jsonl")),
            (Layout::Tsv, narrow(), include_str!("../../tests/golden/ls.tsv")),
            (
                Layout::Tsv,
                View { is_long: true, has_header: true, ..narrow() },
                include_str!("../../tests/golden/ls-long.tsv"),
            ),
            (Layout::Yaml, view("", "", ""), include_str!("../../tests/golden/ls.yaml")),
        ];
        for (layout, view, golden) in table {
            let printed = printed(layout, Terminator::Newline, &view);
            assert_eq!(printed, golden, "{layout:?}:\n{printed}");
        }
    }

    #[test]
    fn nul_terminates_lines_in_place_of_newlines() {
        let narrow = view("hostname", "", "");
        let lines: Vec<String> = printed(Layout::Text, Terminator::Nul, &narrow)
            .split('\0')
            .map(str::to_owned)
            .collect();
        assert_eq!(lines.len(), farm().len() + 1);
        assert_eq!(lines[1], "1.2.3.5              hostname=a\tb\nc\\d");
        assert_eq!(lines[2], "broken\u{2028}");
        for layout in [Layout::Jsonl, Layout::Tsv] {
            let printed = printed(layout, Terminator::Nul, &narrow);
            assert_eq!(printed.matches('\0').count(), farm().len());
            assert!(!printed.contains('\n'));
        }
    }
}
