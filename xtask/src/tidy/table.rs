//! The tables of a page.

/// A table, with the heading of its section.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table<'a> {
    pub(super) heading: &'a str,
    /// Its titles.
    pub(super) head: Row<'a>,
    pub(super) rows: Vec<Row<'a>>,
}

/// A line of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
    pub(super) cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn of(line: usize, text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix('|')?;
        let inside = inside.trim_end().strip_suffix('|').unwrap_or(inside);
        let mut cells = Vec::new();
        let mut start = 0;
        for (at, _) in inside.match_indices('|') {
            // `\|` is a character of a cell.
            if !inside[..at].ends_with('\\') {
                cells.push(inside[start..at].trim());
                start = at + 1;
            }
        }
        cells.push(inside[start..].trim());
        Some(Self { line, text, cells })
    }

    /// The cell of a column; empty if the row is too short.
    pub(super) fn cell(&self, column: usize) -> &'a str {
        self.cells.get(column).copied().unwrap_or_default()
    }
}

impl Table<'_> {
    /// The number of the column with this title.
    pub(super) fn column(&self, title: &str) -> Option<usize> {
        self.head.cells.iter().position(|cell| *cell == title)
    }
}

/// All tables of a page.
pub(super) fn tables(text: &str) -> Vec<Table<'_>> {
    let mut found: Vec<Table<'_>> = Vec::new();
    let mut heading = "";
    let mut last: Option<Row<'_>> = None;
    let mut is_body = false;
    for (text, line) in text.lines().zip(1..) {
        if text.starts_with('#') {
            heading = text.trim_start_matches('#').trim();
        }
        let row = Row::of(line, text);
        let is_rule = text.starts_with("|---");
        is_body &= row.is_some();
        if is_rule && let Some(head) = last.take() {
            found.push(Table { heading, head, rows: Vec::new() });
            is_body = true;
        } else if is_body && let Some(table) = found.last_mut() {
            table.rows.extend(row);
        } else {
            last = row;
        }
    }
    found
}

/// The pieces of code of a cell, without their backticks.
pub(super) fn code_spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_heading_titles_and_rows() {
        let page = "# Page\n\n| a | b |\n|---|---|\n| 1 | `2\\|3` |\n| 4 |\n\n## Part\n| no table |\n\n\
            | c |\n|---|\n| 5 |\ntext\n| none |\n";
        let tables = tables(page);
        assert_eq!(tables.len(), 2);
        assert_eq!((tables[0].heading, tables[0].rows.len()), ("Page", 2));
        assert_eq!((tables[1].heading, tables[1].rows.len()), ("Part", 1));
        let row = &tables[0].rows[0];
        assert_eq!((row.line, row.cells.as_slice()), (5, &["1", "`2\\|3`"][..]));
        assert_eq!((tables[0].rows[1].cell(0), tables[0].rows[1].cell(1)), ("4", ""));
        let row = &tables[1].rows[0];
        assert_eq!((row.line, row.text), (13, "| 5 |"));
        assert_eq!((tables[0].column("b"), tables[0].column("c")), (Some(1), None));
        assert_eq!(code_spans("`a`, b `c`").collect::<Vec<_>>(), ["a", "c"]);
    }
}
