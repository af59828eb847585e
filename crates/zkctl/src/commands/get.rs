//! `zkctl get`: one record, or one field of it.

use super::field::{parse_field, shown};
use super::znode_stat::full;
use crate::connection::Connection;
use crate::format::{Choice, End, Layout, OutputArgs};
use crate::output::Output;
use clap::{Args, ValueEnum};
use farm_core::cli::{Exit, ExitReason, Failure};
use farm_core::codec::{DecodeError, TextFormat, encode_record, json::decode_znode};
use farm_core::model::{FieldPath, Record, Value};
use farm_core::session::{Client, SessionError, Watch, Znode, ZnodePath};
use std::io::Write;

const EXAMPLES: &str = "\
Examples:
  zkctl get /services/db/1.2.3.4
  zkctl get /services/db/1.2.3.4 -f json
  zkctl get /services/db/1.2.3.4 mysql.replication_delay
  zkctl get /services/db/1.2.3.4 enabled --default 0
  zkctl get /services/db/1.2.3.4 -o tsv
  zkctl get /services/db/1.2.3.4 --raw > backup
  zkctl get /services/db/1.2.3.4 --stat";

const NOTES: &str = "\
A field that is a string is printed as it is, every other one as JSON.";

/// Print the record of a znode, or one field of it
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct GetArgs {
    /// Read this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// Print this field alone; a.b is the field b inside a
    #[arg(value_name = "FIELD")]
    field: Option<String>,

    /// Format of the record as a file [default: yaml]
    #[arg(short, long, value_name = "FORMAT", value_enum, conflicts_with = "field")]
    format: Option<FileFormat>,

    /// Print VALUE if there is no such znode or field
    #[arg(long, value_name = "VALUE", requires = "field", allow_hyphen_values = true)]
    default: Option<String>,

    /// Print the bytes of the znode as they are
    #[arg(long, conflicts_with_all = ["field", "format"])]
    raw: bool,

    /// Print what the server knows about the znode
    #[arg(long, conflicts_with_all = ["field", "format", "raw"])]
    stat: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Yaml,
    Json,
    Php,
}

impl From<FileFormat> for TextFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Yaml => Self::Yaml,
            FileFormat::Json => Self::Json,
            FileFormat::Php => Self::Php,
        }
    }
}

/// What of a znode is asked for, and how it shall look.
enum Question {
    Raw,
    Stat(Choice),
    File(FileFormat),
    Record(Choice),
    Field(FieldPath, Option<String>, Choice),
}

impl GetArgs {
    fn question(&self, output: OutputArgs) -> Result<Question, Failure> {
        if self.raw || self.format.is_some() {
            let option = if self.raw { "get --raw" } else { "get --format" };
            output.refuse(option)?;
            return Ok(self.format.map_or(Question::Raw, Question::File));
        }
        let choice = output.choose("get")?;
        if let Some(field) = &self.field {
            return Ok(Question::Field(parse_field(field)?, self.default.clone(), choice));
        }
        if choice.layout == Layout::Text {
            output.refuse_null("get without a field")?;
        }
        Ok(if self.stat { Question::Stat(choice) } else { Question::Record(choice) })
    }
}

pub(crate) fn get(
    args: &GetArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let path = ZnodePath::parse(&args.path)?;
    let question = args.question(output)?;
    let asked = path.clone();
    let found = connection.ask(move |client, _| read(client, &asked))?;
    let mut output = Output::open();
    match question {
        Question::Raw => output.bytes(&found?.data)?,
        Question::Stat(choice) => show(&full(&found?.stat), choice, &mut output)?,
        Question::File(format) => {
            let record = decode(&path, &found?)?;
            let text = encode_record(format, &record)
                .map_err(|error| Failure::from(error).during(format!("cannot show {path}")))?;
            output.bytes(&text)?;
        }
        Question::Record(choice) => {
            let record = decode(&path, &found?)?;
            show(&Value::Object(record.into_map()), choice, &mut output)?;
        }
        Question::Field(field, default, choice) => {
            let value = field_of(&path, found, &field, default)?;
            show_field(&field, &value, choice, &mut output)?;
        }
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn field_of(
    path: &ZnodePath,
    found: Result<Znode, SessionError>,
    field: &FieldPath,
    default: Option<String>,
) -> Result<Value, Failure> {
    let record = match found {
        Ok(znode) => Ok(decode(path, &znode)?),
        Err(absent) => Err(absent),
    };
    let value = record.as_ref().ok().and_then(|record| record.get(field)).cloned();
    let Some(value) = value.or_else(|| default.map(Value::String)) else {
        record?;
        return Err(Failure::new(Exit::No, format!("{path} has no field {field}")));
    };
    Ok(value)
}

/// A whole object; as text it is YAML, in rows every field has one.
fn show(value: &Value, choice: Choice, output: &mut Output<impl Write>) -> Result<(), Failure> {
    match choice.layout {
        Layout::Text | Layout::Yaml => output.yaml(value),
        Layout::Json => output.json(value),
        Layout::Jsonl => output.json_line(value, choice.end),
        Layout::Tsv => {
            let record = value.as_object().cloned().map(Record::from_map).unwrap_or_default();
            for (field, value) in record.leaves() {
                output.cells([field.to_string(), shown(value)], choice.end)?;
            }
            Ok(())
        }
    }
}

fn show_field(
    field: &FieldPath,
    value: &Value,
    choice: Choice,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    match (choice.layout, choice.end) {
        (Layout::Text, End::Newline) => output.line(&shown(value), End::Newline),
        (Layout::Text, End::Nul) => output.row(&shown(value), End::Nul),
        (Layout::Tsv, end) => output.cells([field.to_string(), shown(value)], end),
        (Layout::Json | Layout::Jsonl | Layout::Yaml, _) => show(value, choice, output),
    }
}

/// The znode, or the error that says that there is none.
fn read(client: &Client, path: &ZnodePath) -> Result<Result<Znode, SessionError>, SessionError> {
    match client.get(path, Watch::No) {
        Ok(znode) => Ok(Ok(znode)),
        Err(absent @ SessionError::NoNode(_)) => Ok(Err(absent)),
        Err(error) => Err(error),
    }
}

pub(super) fn decode(path: &ZnodePath, znode: &Znode) -> Result<Record, Failure> {
    decode_znode(&znode.data).map_err(|error| malformed(path, &error))
}

pub(super) fn malformed(path: &ZnodePath, error: &DecodeError) -> Failure {
    Failure::new(error.exit(), format!("{path} holds no record")).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::session::Stat;

    fn shown_as(layout: Layout, value: &Value) -> String {
        let mut shown = Vec::new();
        let mut output = Output::into(&mut shown);
        show(value, Choice { layout, end: End::Newline }, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let znode = br#"{"enabled":"0","mysql":{"delay":1.50,"a.b":[1,"x"]},"note":"a\tb\nc\\d"}"#;
        let record = decode_znode(znode).unwrap();
        let record = Value::Object(record.into_map());
        let stat = Stat { mzxid: 42, mtime_ms: 1_700_000_000_123, version: 3, ..Stat::default() };
        let table = [
            (Layout::Text, &record, include_str!("../../tests/golden/get.yaml")),
            (Layout::Yaml, &record, include_str!("../../tests/golden/get.yaml")),
            (Layout::Json, &record, include_str!("../../tests/golden/get.json")),
            (Layout::Jsonl, &record, include_str!("../../tests/golden/get.jsonl")),
            (Layout::Tsv, &record, include_str!("../../tests/golden/get.tsv")),
            (Layout::Text, &full(&stat), include_str!("../../tests/golden/get-stat.yaml")),
            (Layout::Json, &full(&stat), include_str!("../../tests/golden/get-stat.json")),
        ];
        for (layout, value, golden) in table {
            let shown = shown_as(layout, value);
            assert_eq!(shown, golden, "{layout:?}:\n{shown}");
        }
    }

    #[test]
    fn a_field_is_bare_as_text_and_typed_in_json() {
        let field = FieldPath::parse("a.b").unwrap();
        let shown = |layout, end, value: &Value| {
            let mut shown = Vec::new();
            let mut output = Output::into(&mut shown);
            show_field(&field, value, Choice { layout, end }, &mut output).unwrap();
            output.finish().unwrap();
            String::from_utf8(shown).unwrap()
        };
        let text = Value::from("x\ny\0");
        for (layout, end, expected) in [
            (Layout::Text, End::Newline, "x\ny\0\n"),
            (Layout::Text, End::Nul, "x\ny\\u{0}\0"),
            (Layout::Json, End::Newline, "\"x\\ny\\u0000\"\n"),
            (Layout::Jsonl, End::Nul, "\"x\\ny\\u0000\"\0"),
            (Layout::Tsv, End::Newline, "a.b\tx\\ny\\u{0}\n"),
            (Layout::Yaml, End::Newline, "\"x\\ny\\0\"\n"),
        ] {
            assert_eq!(shown(layout, end, &text), expected, "{layout:?} {end:?}");
        }
        assert_eq!(shown(Layout::Text, End::Newline, &Value::from(7)), "7\n");
        assert_eq!(shown(Layout::Json, End::Newline, &Value::Null), "null\n");
    }
}
