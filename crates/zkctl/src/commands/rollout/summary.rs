//! A group as one row, in all formats.

use super::look::Look;
use super::wording::{control_object, need, orders, state_name};
use crate::commands::znode_stat::object;
use crate::format::{Layout, OutputFormat};
use crate::output::Output;
use farm_core::cli::Failure;
use farm_core::farm::rollout::Control;
use farm_core::model::Value;
use std::io::Write;

/// The names of the columns of tsv.
const COLUMNS: [&str; 6] = ["group", "done", "total", "state", "without_member", "control"];

/// A group as one row.
#[derive(Debug)]
pub(super) struct Summary {
    group: String,
    done: usize,
    total: usize,
    /// The state of the member that needs an operator most; `None` without members.
    state: Option<&'static str>,
    /// The contenders that belong to no member.
    strangers: usize,
    control: Control,
}

impl Summary {
    pub(super) fn of(look: &Look) -> Self {
        let states = look.members.iter().map(|member| member.record.state);
        Self {
            group: look.group.clone(),
            done: look.done(),
            total: look.members.len(),
            state: states.min_by_key(|state| need(*state)).map(state_name),
            strangers: look.strangers().count(),
            control: look.control.clone(),
        }
    }

    pub(super) const fn done(&self) -> usize {
        self.done
    }

    pub(super) const fn total(&self) -> usize {
        self.total
    }

    pub(super) fn line(&self, now_ms: i64) -> String {
        let Self { group, done, total, .. } = self;
        let confirmed = format!("{done}/{total} confirmed");
        let state = self.state.unwrap_or("-");
        let mut notes = orders(&self.control, now_ms);
        let strangers = (self.strangers > 0)
            .then(|| format!("{} in the queue without a member", self.strangers));
        notes.extend(strangers);
        let line = format!("{group:<20} {confirmed:<19} {state:<11} {}", notes.join(", "));
        line.trim_end_matches(' ').to_owned()
    }

    fn cells(&self, now_ms: i64) -> [String; 6] {
        [
            self.group.clone(),
            self.done.to_string(),
            self.total.to_string(),
            self.state.unwrap_or_default().to_owned(),
            self.strangers.to_string(),
            orders(&self.control, now_ms).join(", "),
        ]
    }

    pub(super) fn object(&self) -> Value {
        object([
            ("v", Value::from(1)),
            ("group", Value::from(self.group.as_str())),
            ("total", Value::from(self.total)),
            ("done", Value::from(self.done)),
            ("state", Value::from(self.state)),
            ("without_member", Value::from(self.strangers)),
            ("control", control_object(&self.control)),
        ])
    }
}

/// Prints the groups, below a line of column names if `has_header`.
pub(super) fn show(
    groups: &[Summary],
    format: OutputFormat,
    has_header: bool,
    now_ms: i64,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    if has_header && format.layout == Layout::Tsv {
        output.cells(COLUMNS, format.terminator)?;
    }
    let (line, cells) = (|row: &Summary| row.line(now_ms), |row: &Summary| row.cells(now_ms));
    output.list(format, groups, line, cells, Summary::object)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{NEW, control, failed_group, in_state, look};
    use super::*;
    use crate::format::Terminator;
    use serde_json::json;

    fn printed(layout: Layout, has_header: bool) -> String {
        let groups = [
            Summary::of(&failed_group()),
            Summary::of(&Look {
                group: "db".to_owned(),
                ..look(vec![in_state("a", "running", NEW, NEW)], control(&json!({"restart": 4})))
            }),
            Summary::of(&Look { group: "none\n".to_owned(), ..Look::default() }),
        ];
        let mut printed = Vec::new();
        let mut output = Output::into(&mut printed);
        let format = OutputFormat { layout, terminator: Terminator::Newline };
        show(&groups, format, has_header, 1_700_000_100_000, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let table = [
            (Layout::Text, false, include_str!("../../../tests/golden/rollouts.txt")),
            (Layout::Tsv, true, include_str!("../../../tests/golden/rollouts-header.tsv")),
            (Layout::Jsonl, false, include_str!("../../../tests/golden/rollouts.jsonl")),
            (Layout::Json, false, include_str!("../../../tests/golden/rollouts.json")),
            (Layout::Yaml, false, include_str!("../../../tests/golden/rollouts.yaml")),
        ];
        for (layout, has_header, golden) in table {
            let printed = printed(layout, has_header);
            assert_eq!(printed, golden, "{layout:?}:\n{printed}");
        }
    }
}
