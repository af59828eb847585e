//! `zkctl get`: one record, or one field of it.

use super::field::{parse_field, value_text};
use super::znode_stat::full;
use crate::connection::Connection;
use crate::format::{Layout, OutputArgs, OutputFormat, Terminator};
use crate::output::Output;
use clap::{Args, ValueEnum};
use farm_core::cli::{Exit, ExitReason, Failure, ParseArg};
use farm_core::codec::{Malformed, Parse, TextFormat, encode_record};
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
A string field is printed as it is, any other field as JSON.";

/// Print the record of a znode, or one field of it
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES)]
pub(crate) struct GetArgs {
    /// Read this znode
    #[arg(value_name = "PATH")]
    path: String,

    /// Print only this field; a.b is the field b inside a
    #[arg(value_name = "FIELD")]
    field: Option<String>,

    /// Print the record in this file format [default: yaml]
    #[arg(short, long, value_name = "FORMAT", value_enum, conflicts_with = "field")]
    format: Option<FileFormat>,

    #[command(flatten)]
    parse: ParseArg,

    /// Print VALUE if there is no such znode or field
    #[arg(long, value_name = "VALUE", requires = "field", allow_hyphen_values = true)]
    default: Option<String>,

    /// Print the bytes of the znode as they are
    #[arg(long, conflicts_with_all = ["field", "format", "parse"])]
    raw: bool,

    /// Print the metadata of the znode
    #[arg(long, conflicts_with_all = ["field", "format", "raw", "parse"])]
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

/// What to print of a znode, and in which format.
enum Query {
    Raw,
    Stat(OutputFormat),
    File(FileFormat),
    Record(OutputFormat),
    Field(FieldPath, Option<String>, OutputFormat),
}

impl GetArgs {
    fn query(&self, output: OutputArgs) -> Result<Query, Failure> {
        if self.raw || self.format.is_some() {
            let option = if self.raw { "get --raw" } else { "get --format" };
            output.refuse_all(option)?;
            return Ok(self.format.map_or(Query::Raw, Query::File));
        }
        let format = output.choose("get")?;
        if let Some(field) = &self.field {
            return Ok(Query::Field(parse_field(field)?, self.default.clone(), format));
        }
        if format.layout == Layout::Text {
            output.refuse_null("get without a field")?;
        }
        Ok(if self.stat { Query::Stat(format) } else { Query::Record(format) })
    }
}

pub(crate) fn get(
    args: &GetArgs,
    output: OutputArgs,
    connection: &Connection,
) -> Result<Exit, Failure> {
    let path = ZnodePath::parse(&args.path)?;
    let query = args.query(output)?;
    let parse = args.parse.parse;
    let target = path.clone();
    let found = connection.ask(move |client, _| read(client, &target))?;
    let mut output = Output::open();
    match query {
        Query::Raw => output.bytes(&found?.data)?,
        Query::Stat(format) => show(&full(&found?.stat), format, &mut output)?,
        Query::File(format) => {
            let record = decode(&path, &found?, parse)?;
            let text = encode_record(format, &record)
                .map_err(|error| Failure::from(error).during(format!("cannot print {path}")))?;
            output.bytes(&text)?;
        }
        Query::Record(format) => {
            let record = decode(&path, &found?, parse)?;
            show(&Value::Object(record.into_map()), format, &mut output)?;
        }
        Query::Field(field, default, format) => {
            let value = field_of(&path, found, &field, default, parse)?;
            show_field(&field, &value, format, &mut output)?;
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
    parse: Parse,
) -> Result<Value, Failure> {
    let record = match found {
        Ok(znode) => Ok(decode(path, &znode, parse)?),
        Err(absent) => Err(absent),
    };
    let value = record.as_ref().ok().and_then(|record| record.get(field)).cloned();
    let Some(value) = value.or_else(|| default.map(Value::String)) else {
        record?;
        return Err(Failure::new(Exit::No, format!("{path} has no field {field}")));
    };
    Ok(value)
}

/// Prints a whole object: YAML as text, a row per field as tsv.
fn show(
    value: &Value,
    format: OutputFormat,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    match format.layout {
        Layout::Text | Layout::Yaml => output.yaml(value),
        Layout::Json => output.json(value),
        Layout::Jsonl => output.json_line(value, format.terminator),
        Layout::Tsv => {
            let record = value.as_object().cloned().map(Record::from_map).unwrap_or_default();
            for (field, value) in record.leaves() {
                output.cells([field.to_string(), value_text(value)], format.terminator)?;
            }
            Ok(())
        }
    }
}

fn show_field(
    field: &FieldPath,
    value: &Value,
    format: OutputFormat,
    output: &mut Output<impl Write>,
) -> Result<(), Failure> {
    match (format.layout, format.terminator) {
        (Layout::Text, Terminator::Newline) => output.line(&value_text(value), Terminator::Newline),
        (Layout::Text, Terminator::Nul) => output.row(&value_text(value), Terminator::Nul),
        (Layout::Tsv, end) => output.cells([field.to_string(), value_text(value)], end),
        (Layout::Json | Layout::Jsonl | Layout::Yaml, _) => show(value, format, output),
    }
}

/// The znode, or `NoNode` as the inner error, which `--default` can answer.
fn read(client: &Client, path: &ZnodePath) -> Result<Result<Znode, SessionError>, SessionError> {
    match client.get(path, Watch::No) {
        Ok(znode) => Ok(Ok(znode)),
        Err(absent @ SessionError::NoNode(_)) => Ok(Err(absent)),
        Err(error) => Err(error),
    }
}

pub(super) fn decode(path: &ZnodePath, znode: &Znode, parse: Parse) -> Result<Record, Failure> {
    parse.read(&znode.data).map_err(|error| malformed(path, &error))
}

pub(super) fn malformed(path: &ZnodePath, malformed: &Malformed) -> Failure {
    let what = format!("{path} holds no record");
    let failure = Failure::new(malformed.error.exit(), what).because(malformed);
    match malformed.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_core::session::Stat;

    fn printed(layout: Layout, value: &Value) -> String {
        let mut printed = Vec::new();
        let mut output = Output::into(&mut printed);
        let format = OutputFormat { layout, terminator: Terminator::Newline };
        show(value, format, &mut output).unwrap();
        output.finish().unwrap();
        String::from_utf8(printed).unwrap()
    }

    #[test]
    fn every_format_looks_like_its_golden_file() {
        let znode = br#"{"enabled":"0","mysql":{"delay":1.50,"a.b":[1,"x"]},"note":"a\tb\nc\\d"}"#;
        let record = Parse::Json.decode(znode).unwrap();
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
            let printed = printed(layout, value);
            assert_eq!(printed, golden, "{layout:?}:\n{printed}");
        }
    }

    #[test]
    fn a_field_is_unquoted_as_text_and_typed_in_json() {
        let field = FieldPath::parse("a.b").unwrap();
        let printed = |layout, terminator, value: &Value| {
            let mut printed = Vec::new();
            let mut output = Output::into(&mut printed);
            show_field(&field, value, OutputFormat { layout, terminator }, &mut output).unwrap();
            output.finish().unwrap();
            String::from_utf8(printed).unwrap()
        };
        let text = Value::from("x\ny\0");
        for (layout, end, expected) in [
            (Layout::Text, Terminator::Newline, "x\ny\0\n"),
            (Layout::Text, Terminator::Nul, "x\ny\\u{0}\0"),
            (Layout::Json, Terminator::Newline, "\"x\\ny\\u0000\"\n"),
            (Layout::Jsonl, Terminator::Nul, "\"x\\ny\\u0000\"\0"),
            (Layout::Tsv, Terminator::Newline, "a.b\tx\\ny\\u{0}\n"),
            (Layout::Yaml, Terminator::Newline, "\"x\\ny\\0\"\n"),
        ] {
            assert_eq!(printed(layout, end, &text), expected, "{layout:?} {end:?}");
        }
        assert_eq!(printed(Layout::Text, Terminator::Newline, &Value::from(7)), "7\n");
        assert_eq!(printed(Layout::Json, Terminator::Newline, &Value::Null), "null\n");
    }
}
