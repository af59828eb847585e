//! The answer on stdout. Only this module writes there.
//!
//! **Invariant.** A pipe or a file gets the answer as it is. A terminal gets nothing that it
//! would act on.

use crate::format::{Layout, OutputFormat, Terminator};
use farm_core::cli::{Failure, is_unprintable, printable_lines, single_line};
use farm_core::codec::yaml;
use farm_core::model::Value;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

/// Collects the answer and writes it in large pieces.
#[derive(Debug)]
pub(crate) struct Output<W: Write = StdoutLock<'static>> {
    stdout: BufWriter<W>,
    is_terminal: bool,
}

impl Output {
    pub(crate) fn open() -> Self {
        let stdout = io::stdout().lock();
        Self { is_terminal: stdout.is_terminal(), stdout: BufWriter::new(stdout) }
    }
}

impl<W: Write> Output<W> {
    /// Writes to `sink` in place of stdout.
    #[cfg(test)]
    pub(crate) fn into(sink: W) -> Self {
        Self { stdout: BufWriter::new(sink), is_terminal: false }
    }

    /// Writes text as it is, with its terminator; it may have several lines.
    pub(crate) fn line(&mut self, text: &str, end: Terminator) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.write(match end {
            Terminator::Newline => b"\n",
            Terminator::Nul => b"\0",
        })
    }

    /// Writes a line of a list; foreign text in it cannot add a line.
    pub(crate) fn row(&mut self, text: &str, end: Terminator) -> Result<(), Failure> {
        match end {
            Terminator::Newline => self.line(&single_line(text), end),
            Terminator::Nul => self.line(&text.replace('\0', "\\u{0}"), end),
        }
    }

    /// Writes cells with tabs between them. Tabs and backslashes in a cell are escaped, so
    /// that a program can read it back.
    pub(crate) fn cells<C: AsRef<str>>(
        &mut self,
        cells: impl IntoIterator<Item = C>,
        end: Terminator,
    ) -> Result<(), Failure> {
        let escaped: Vec<String> =
            cells.into_iter().map(|cell| escaped_cell(cell.as_ref())).collect();
        self.line(&escaped.join("\t"), end)
    }

    /// Writes all rows of a list; the functions give a row as text, as cells and as an object.
    pub(crate) fn list<T, C: AsRef<str>, I: IntoIterator<Item = C>>(
        &mut self,
        format: OutputFormat,
        rows: &[T],
        line: impl Fn(&T) -> String,
        cells: impl Fn(&T) -> I,
        object: impl Fn(&T) -> Value,
    ) -> Result<(), Failure> {
        let end = format.terminator;
        let mut rows = rows.iter();
        match format.layout {
            Layout::Text => rows.try_for_each(|row| self.row(&line(row), end)),
            Layout::Tsv => rows.try_for_each(|row| self.cells(cells(row), end)),
            Layout::Jsonl => rows.try_for_each(|row| self.json_line(&object(row), end)),
            Layout::Json => self.json_list(rows.map(object)),
            Layout::Yaml if rows.len() == 0 => self.yaml(&Value::Array(Vec::new())),
            Layout::Yaml => rows.try_for_each(|row| self.yaml(&Value::Array(vec![object(row)]))),
        }
    }

    /// Writes an indented JSON list, whose items are in memory one at a time.
    fn json_list(&mut self, items: impl Iterator<Item = Value>) -> Result<(), Failure> {
        let mut is_first = true;
        for item in items {
            let list = format!("{:#}", Value::Array(vec![item]));
            // The items without the brackets, and without the line end before the last one.
            let lines = list.strip_prefix('[').and_then(|list| list.strip_suffix("\n]"));
            self.bytes(if is_first { b"[" } else { b"," })?;
            self.bytes(escaped_json(lines.unwrap_or_default()).as_bytes())?;
            is_first = false;
        }
        self.bytes(if is_first { b"[]\n" } else { b"\n]\n" })
    }

    /// Writes an indented JSON document.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&escaped_json(&format!("{value:#}")), Terminator::Newline)
    }

    /// Writes a JSON document on one line.
    pub(crate) fn json_line(&mut self, value: &Value, end: Terminator) -> Result<(), Failure> {
        self.line(&escaped_json(&value.to_string()), end)
    }

    pub(crate) fn yaml(&mut self, value: &Value) -> Result<(), Failure> {
        let text = yaml::encode_value(value)
            .map_err(|error| Failure::from(error).during("cannot print the answer"))?;
        self.bytes(&text)
    }

    /// Writes whole lines as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.is_terminal { self.write(&printable_lines(bytes)) } else { self.write(bytes) }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).map_err(Failure::of_stdout)
    }

    /// Flushes the output; the answer is complete only after this.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::of_stdout)
    }
}

fn escaped_cell(text: &str) -> String {
    single_line(&text.replace('\\', "\\\\")).into_owned()
}

/// JSON allows characters beyond ASCII that terminals and line readers act on. They occur only in
/// strings, where they can be escaped.
fn escaped_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) && character > '\u{1f}' {
            escaped += &format!("\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_neither_tabs_nor_line_ends_of_its_own() {
        let table = [
            ("plain text", "plain text"),
            ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
            ("C:\\new", "C:\\\\new"),
            ("\\\n", "\\\\\\n"),
            ("\0\u{b}\u{85}\u{2028}", "\\u{0}\\u{b}\\u{85}\\u{2028}"),
            ("", ""),
        ];
        for (text, cell) in table {
            assert_eq!(escaped_cell(text), cell, "{text:?}");
        }
    }

    #[test]
    fn a_list_is_printed_item_by_item_as_if_it_were_printed_as_a_whole() {
        for items in [vec![], vec![1], vec![1, 2, 3]] {
            let rows: Vec<Value> =
                items.into_iter().map(|n| serde_json::json!({"n": [n, "\n\u{85}"]})).collect();
            let whole = Value::Array(rows.clone());
            for (layout, expected) in [
                (Layout::Json, escaped_json(&format!("{whole:#}\n"))),
                (Layout::Yaml, String::from_utf8(yaml::encode_value(&whole).unwrap()).unwrap()),
            ] {
                let mut printed = Vec::new();
                let mut output = Output::into(&mut printed);
                let format = OutputFormat { layout, terminator: Terminator::Newline };
                let nothing = |_: &Value| String::new();
                output
                    .list(format, &rows, nothing, |_| Vec::<String>::new(), Value::clone)
                    .unwrap();
                output.finish().unwrap();
                assert_eq!(String::from_utf8(printed).unwrap(), expected);
            }
        }
    }

    #[test]
    fn json_stays_on_its_line_and_means_the_same() {
        let value = Value::from("a\n\u{2028}\u{85}\u{9b}\u{7f}\u{202e}\u{61c}ü😀");
        let escaped = escaped_json(&value.to_string());
        assert_eq!(escaped, "\"a\\n\\u2028\\u0085\\u009b\\u007f\\u202e\\u061cü😀\"");
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn a_terminal_gets_nothing_that_it_acts_on() {
        let written = |is_terminal: bool| {
            let mut sink = Vec::new();
            let mut output = Output { is_terminal, ..Output::into(&mut sink) };
            output.line("a\u{1b}[2J\nb\u{202e}", Terminator::Newline).unwrap();
            output.row("c\u{1b}\u{202e}", Terminator::Nul).unwrap();
            output.cells(["d\t\u{9b}", "e\u{202e}"], Terminator::Newline).unwrap();
            output.bytes(b"caf\xe9\r\n").unwrap();
            output.finish().unwrap();
            sink
        };
        let exact = "a\u{1b}[2J\nb\u{202e}\nc\u{1b}\u{202e}\0d\\t\\u{9b}\te\u{202e}\n";
        assert_eq!(written(false), [exact.as_bytes(), b"caf\xe9\r\n"].concat());
        let safe = "a\\u{1b}[2J\nb\\u{202e}\nc\\u{1b}\\u{202e}\0d\\t\\u{9b}\te\\u{202e}\n\
                    caf\\xe9\\r\n";
        assert_eq!(String::from_utf8(written(true)).unwrap(), safe);
    }
}
