//! The output: rows as a table for people, and as JSON for programs.

use super::error::BenchError;
use super::stats::{SamplePairs, Summary};
use std::fmt::Write as _;

/// The unit of the values of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds.
    Seconds,
    /// Read requests per change.
    Reads,
}

/// A measurement and its limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) samples: usize,
    pub(super) measured: Summary,
    pub(super) limit: Summary,
    /// How many bytes each sample reads or writes, for the rows where it matters.
    pub(super) bytes: Option<usize>,
}

impl Row {
    fn of_times(name: &'static str, pairs: SamplePairs) -> Option<Self> {
        let samples = pairs.len();
        let (measured, limit) = pairs.summaries()?;
        Some(Self { name, unit: Unit::Seconds, samples, measured, limit, bytes: None })
    }

    /// The row of some times; an error if there are none.
    pub(super) fn measured(name: &'static str, pairs: SamplePairs) -> Result<Self, BenchError> {
        Self::of_times(name, pairs).ok_or(BenchError::NoSamples)
    }

    /// Sets how many bytes each sample reads or writes.
    pub(super) const fn with_bytes(mut self, bytes: usize) -> Self {
        self.bytes = Some(bytes);
        self
    }

    fn ratio(&self) -> f64 {
        self.measured.median / self.limit.median
    }
}

const HEAD: [&str; 8] =
    ["row", "n", "median", "p99", "limit median", "limit p99", "ratio", "bytes"];

/// All rows as a table.
pub(super) fn text(rows: &[Row]) -> String {
    let mut lines = vec![HEAD.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let mut widths = [0; HEAD.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let mut shown = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let written = if column == 0 {
                write!(shown, "{cell:<width$}")
            } else {
                write!(shown, "  {cell:>width$}")
            };
            written.unwrap_or_default();
        }
        text += shown.trim_end();
        text.push('\n');
    }
    text
}

fn cells(row: &Row) -> [String; HEAD.len()] {
    let shown = |number| amount(row.unit, number);
    [
        row.name.to_owned(),
        row.samples.to_string(),
        shown(row.measured.median),
        shown(row.measured.p99),
        shown(row.limit.median),
        shown(row.limit.p99),
        format!("{:.2}", row.ratio()),
        row.bytes.map_or_else(String::new, |bytes| bytes.to_string()),
    ]
}

/// A number with three digits and a suitable unit.
fn amount(unit: Unit, number: f64) -> String {
    if unit == Unit::Reads {
        return format!("{number:.2} reads");
    }
    let (number, name) = match number {
        seconds if seconds >= 1.0 => (seconds, "s"),
        seconds if seconds >= 1e-3 => (seconds * 1e3, "ms"),
        seconds => (seconds * 1e6, "us"),
    };
    let decimals = match number {
        number if number >= 100.0 => 0,
        number if number >= 10.0 => 1,
        _ => 2,
    };
    format!("{number:.decimals$} {name}")
}

/// A row as one line of JSON, in seconds or in reads.
pub(super) fn json(row: &Row) -> String {
    let unit = match row.unit {
        Unit::Seconds => "s",
        Unit::Reads => "reads",
    };
    let summary =
        |summary: Summary| format!("{{\"median\":{},\"p99\":{}}}", summary.median, summary.p99);
    let bytes = row.bytes.map(|bytes| format!(",\"bytes\":{bytes}")).unwrap_or_default();
    // The names need no escaping, and every value is finite.
    format!(
        "{{\"v\":1,\"row\":\"{}\",\"unit\":\"{unit}\",\"samples\":{},\"measured\":{},\"limit\":{},\
         \"ratio\":{}{bytes}}}",
        row.name,
        row.samples,
        summary(row.measured),
        summary(row.limit),
        row.ratio()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn times(name: &'static str, measured_us: u64, limit_us: u64) -> Row {
        let mut pairs = SamplePairs::default();
        pairs.push(Duration::from_micros(measured_us), Duration::from_micros(limit_us));
        Row::of_times(name, pairs).unwrap()
    }

    #[test]
    fn the_columns_of_a_table_are_aligned() {
        let reads = Row {
            name: "reads",
            unit: Unit::Reads,
            samples: 50,
            measured: Summary::constant(1.0),
            limit: Summary::constant(1.0),
            bytes: None,
        };
        let rows = [times("export-1000-json", 12_345, 1_500).with_bytes(4096), reads];
        assert_eq!(
            text(&rows),
            "row                n      median         p99  limit median   limit p99  ratio  bytes\n\
             export-1000-json   1     12.3 ms     12.3 ms       1.50 ms     1.50 ms   8.23   4096\n\
             reads             50  1.00 reads  1.00 reads    1.00 reads  1.00 reads   1.00\n"
        );
    }

    #[test]
    fn amounts_have_three_digits() {
        let shown = |seconds| amount(Unit::Seconds, seconds);
        assert_eq!(shown(0.000_000_4), "0.40 us");
        assert_eq!(shown(0.000_25), "250 us");
        assert_eq!(shown(0.001), "1.00 ms");
        assert_eq!(shown(0.045_61), "45.6 ms");
        assert_eq!(shown(0.456_1), "456 ms");
        assert_eq!(shown(12.0), "12.0 s");
    }

    #[test]
    fn a_row_is_one_line_of_json() {
        assert_eq!(
            json(&times("get", 3000, 2000)),
            "{\"v\":1,\"row\":\"get\",\"unit\":\"s\",\"samples\":1,\
             \"measured\":{\"median\":0.003,\"p99\":0.003},\
             \"limit\":{\"median\":0.002,\"p99\":0.002},\"ratio\":1.5}"
        );
        assert!(json(&times("get", 1, 1).with_bytes(9)).ends_with(",\"bytes\":9}"));
    }

    #[test]
    fn no_samples_make_no_row() {
        assert_eq!(Row::of_times("get", SamplePairs::default()), None);
    }
}
