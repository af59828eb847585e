//! The answer, on stdout; nothing else in this program writes there.

use crate::format::{Choice, End, Layout};
use farm_core::cli::{Failure, printable};
use farm_core::codec::yaml;
use farm_core::model::Value;
use std::io::{self, BufWriter, StdoutLock, Write};

/// Collects the answer and writes it in large pieces.
#[derive(Debug)]
pub(crate) struct Output<W: Write = StdoutLock<'static>> {
    stdout: BufWriter<W>,
}

impl Output {
    pub(crate) fn open() -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()) }
    }
}

impl<W: Write> Output<W> {
    /// What a test would see on stdout.
    #[cfg(test)]
    pub(crate) fn into(sink: W) -> Self {
        Self { stdout: BufWriter::new(sink) }
    }

    /// A line as it is: it may be one of text that has several.
    pub(crate) fn line(&mut self, text: &str, end: End) -> Result<(), Failure> {
        self.bytes(text.as_bytes())?;
        self.bytes(match end {
            End::Newline => b"\n",
            End::Nul => b"\0",
        })
    }

    /// A line of a list: whatever text of strangers is in it, it stays one.
    pub(crate) fn row(&mut self, text: &str, end: End) -> Result<(), Failure> {
        match end {
            End::Newline => self.line(&printable(text), end),
            End::Nul => self.line(&text.replace('\0', "\\u{0}"), end),
        }
    }

    /// Cells with tabs between them. Their own are escaped, and so is the
    /// backslash, so that every cell can be read back.
    pub(crate) fn cells<C: AsRef<str>>(
        &mut self,
        cells: impl IntoIterator<Item = C>,
        end: End,
    ) -> Result<(), Failure> {
        let escaped: Vec<String> =
            cells.into_iter().map(|cell| escaped_cell(cell.as_ref())).collect();
        self.line(&escaped.join("\t"), end)
    }

    /// All rows of a list; how each of them looks in text, in cells and as an object.
    pub(crate) fn list<T, C: AsRef<str>, I: IntoIterator<Item = C>>(
        &mut self,
        choice: Choice,
        rows: &[T],
        line: impl Fn(&T) -> String,
        cells: impl Fn(&T) -> I,
        object: impl Fn(&T) -> Value,
    ) -> Result<(), Failure> {
        let end = choice.end;
        let mut rows = rows.iter();
        match choice.layout {
            Layout::Text => rows.try_for_each(|row| self.row(&line(row), end)),
            Layout::Tsv => rows.try_for_each(|row| self.cells(cells(row), end)),
            Layout::Jsonl => rows.try_for_each(|row| self.json_line(&object(row), end)),
            Layout::Json => self.json(&Value::Array(rows.map(object).collect())),
            Layout::Yaml => self.yaml(&Value::Array(rows.map(object).collect())),
        }
    }

    /// A whole document in JSON, for people too.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&escaped_json(&format!("{value:#}")), End::Newline)
    }

    /// A document in JSON on one line.
    pub(crate) fn json_line(&mut self, value: &Value, end: End) -> Result<(), Failure> {
        self.line(&escaped_json(&value.to_string()), end)
    }

    pub(crate) fn yaml(&mut self, value: &Value) -> Result<(), Failure> {
        let text = yaml::encode_value(value)
            .map_err(|error| Failure::from(error).during("cannot show the answer"))?;
        self.bytes(&text)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.stdout.write_all(bytes).map_err(Failure::of_stdout)
    }

    /// Writes what is left; an answer is complete only after this.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(Failure::of_stdout)
    }
}

fn escaped_cell(text: &str) -> String {
    printable(&text.replace('\\', "\\\\")).into_owned()
}

/// JSON may have controls and line ends beyond ASCII as they are, but readers of
/// lines and terminals take them for what they are. They stand in strings only.
fn escaped_json(text: &str) -> String {
    let is_steering = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_steering(character) {
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
    fn json_stays_on_its_line_and_means_the_same() {
        let value = Value::from("a\u{2028}\u{85}\u{9b}\u{7f}ü😀");
        let escaped = escaped_json(&value.to_string());
        assert_eq!(escaped, "\"a\\u2028\\u0085\\u009b\\u007fü😀\"");
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap(), value);
    }
}
