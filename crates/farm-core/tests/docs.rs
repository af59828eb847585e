//! The examples and claims of the page about formats.
//!
//! **Invariant.** No example is skipped: one of a new kind fails until a test covers it.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use farm_core::codec::{
    ConfText, ExportFormat, RECORD_BYTES_MAX, TextFormat, VALUES_MAX, decode, dir, encode_record,
    json,
};
use farm_core::farm::view::{FARM_BYTES_MAX, FARM_HOSTS_MAX};
use farm_core::model::{FieldPath, Number, Record, Value};
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/formats.md");

/// A command and its output; without a command, log lines.
#[derive(Debug)]
struct Example {
    command: Option<&'static str>,
    output: String,
}

fn examples() -> Vec<Example> {
    let mut found: Vec<Example> = Vec::new();
    let mut is_inside = false;
    let mut is_first = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            is_inside = !is_inside;
            is_first = is_inside;
        } else if is_inside {
            let command = line.strip_prefix("$ ");
            if command.is_some() || is_first {
                found.push(Example { command, output: String::new() });
            }
            if command.is_none() {
                found.last_mut().unwrap().output += &format!("{line}\n");
            }
            is_first = false;
        }
    }
    assert!(!is_inside, "a fence is not closed");
    found
}

fn example(start: &str) -> Example {
    let is_it = |example: &Example| example.command.is_some_and(|it| it.starts_with(start));
    let mut found = examples().into_iter().filter(is_it);
    let example = found.next().unwrap_or_else(|| panic!("no example starts with {start:?}"));
    assert!(found.next().is_none(), "two examples start with {start:?}");
    example
}

/// The host of most examples.
fn host() -> Record {
    let examples = examples();
    let yaml = examples.iter().find(|e| e.command == Some("zkctl get /services/db/1.2.3.4"));
    decode(ConfText::Yaml, yaml.unwrap().output.as_bytes()).unwrap()
}

fn encoded(format: impl Into<TextFormat>, record: &Record) -> String {
    String::from_utf8(encode_record(format, record).unwrap()).unwrap()
}

/// The files of a tree as `find . -type f | sort` lists them.
fn files(record: &Record) -> Vec<String> {
    let tree = dir::encode(record).tree;
    let mut names: Vec<_> =
        tree.files.keys().map(|keys| format!("./{}\n", keys.join("/"))).collect();
    names.sort();
    names
}

#[test]
fn every_example_is_carried_out() {
    for Example { command, output } in examples() {
        let Some(command) = command else {
            check_log_of_refused_field(&output);
            continue;
        };
        let expected = match command.split(" #").next().unwrap().trim() {
            "zkctl get /services/db/1.2.3.4" => encoded(ConfText::Yaml, &host()),
            "zkctl get /services/db/1.2.3.4 -f php" => encoded(TextFormat::Php, &host()),
            "cat t.yaml" => {
                // The next example shows its record.
                assert!(decode(ConfText::Yaml, output.as_bytes()).is_ok());
                continue;
            }
            "zkctl get /services/db/y -f json" => {
                let yaml = example("cat t.yaml").output;
                encoded(ConfText::Json, &decode(ConfText::Yaml, yaml.as_bytes()).unwrap())
            }
            "cd db; find . -type f | sort" => files(&host()).concat(),
            "cat list" => {
                let tree = dir::encode(&host()).tree;
                String::from_utf8(tree.files[&vec!["list".to_owned()]].clone()).unwrap() + "\n"
            }
            // With a real server: `zkfarmer::a_strange_directory_is_refused_as_the_page_says`.
            "zkexport /services/db other" => continue,
            // With links of others: `export::links::a_link_is_refused_as_the_page_says`.
            "zkexport -q /services/db tmp/hosts.json" => continue,
            // With a real server: `ctl::parse::the_page_about_formats_shows_what_happens`.
            "zkctl ls /party --parse text --fields text"
            | "zkexport --parse keyvalue -f json /replicas -"
            | "zkctl check /live_nodes --parse none --min-hosts 3" => continue,
            other => panic!("no test covers {other:?}"),
        };
        assert_eq!(output, expected, "{command}");
    }
}

fn check_log_of_refused_field(log: &str) {
    let (_, logged) = log.trim_end().split_once("WARN  a field has no file: ").unwrap();
    let mut record = Record::new();
    let field = FieldPath::from_keys(vec!["up".to_owned(), "../x".to_owned()]);
    record.set(&field, Value::Bool(true)).unwrap();
    let (field, why) = &dir::encode(&record).refused[0];
    assert_eq!(logged, format!("{why}; field={:?}", field.to_string()));
}

#[test]
fn the_host_of_the_examples_comes_back_from_every_format() {
    let host = host();
    for format in [ConfText::Json, ConfText::Yaml] {
        assert_eq!(decode(format, encoded(format, &host).as_bytes()).unwrap(), host);
    }
    let tree = dir::encode(&host).tree;
    let read = dir::decode(&tree, &dir::Memory::of(&host)).record;
    assert_eq!(read, host);
}

#[test]
fn numbers_keep_their_text_as_the_page_says() {
    for text in ["1.50", "3.0", "123456789012345678901234567890"] {
        let znode = format!(r#"{{"n":{text}}}"#);
        let record = json::decode_znode(znode.as_bytes()).unwrap();
        assert_eq!(json::encode_znode(&record), znode.as_bytes());
    }
    assert!(PAGE.contains("`1e3` becomes `1e+3`"));
    let record = json::decode_znode(br#"{"n":1e3}"#).unwrap();
    assert_eq!(json::encode_znode(&record), br#"{"n":1e+3}"#);
    for text in ["NaN", "Infinity"] {
        assert!(PAGE.contains(text) && json::decode_znode(text.as_bytes()).is_err());
        assert!(json::decode_znode(format!(r#"{{"n":{text}}}"#).as_bytes()).is_err());
    }
    let twice = json::decode_znode(br#"{"n":1,"n":2}"#).unwrap();
    assert_eq!(json::encode_znode(&twice), br#"{"n":2}"#);
    assert_eq!(json::decode_znode(b"").unwrap(), Record::new());
}

#[test]
fn yaml_scalars_are_what_the_page_says() {
    let value = |text: &str| {
        let record = decode(ConfText::Yaml, format!("k: {text}\n").as_bytes())?;
        Ok::<_, farm_core::codec::DecodeError>(record.as_map()["k"].clone())
    };
    for text in ["yes", "010", "1_000", "12:30", "2020-01-01"] {
        assert!(PAGE.contains(&format!("`{text}`")));
        assert_eq!(value(text).unwrap(), Value::String(text.to_owned()));
    }
    for (text, number) in
        [("0x1f", "31"), ("0o17", "15"), ("+1", "1"), (".5", "0.5"), ("5.", "5.0")]
    {
        assert!(PAGE.contains(&format!("`{text}`")));
        let Value::Number(found) = value(text).unwrap() else { panic!("{text} is no number") };
        let wanted: Number = number.parse().unwrap();
        assert_eq!(found.as_f64(), wanted.as_f64(), "{text}");
    }
    for text in [".inf", ".nan"] {
        assert!(PAGE.contains(&format!("`{text}`")) && value(text).is_err());
    }
}

#[test]
fn bounds_are_those_of_the_page() {
    let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert!(PAGE.contains("objects and lists may be nested 127 deep"));
    assert!(json::decode_znode(nested(126).as_bytes()).is_ok());
    assert!(json::decode_znode(nested(127).as_bytes()).is_err());
    let number = |number: usize| match number {
        ..1_000_000 => format!("{},{:03}", number / 1000, number % 1000),
        _ => format!("{},{:03},{:03}", number / 1_000_000, number / 1000 % 1000, number % 1000),
    };
    assert!(PAGE.contains(&format!("at most {} values", number(VALUES_MAX))));
    assert!(PAGE.contains(&format!("read with at most {}", number(RECORD_BYTES_MAX))));
    let operating = include_str!("../../../docs/operating.md");
    let farm =
        format!("| {} hosts, {} MiB of records |", number(FARM_HOSTS_MAX), FARM_BYTES_MAX >> 20);
    assert!(operating.contains(&farm), "{farm}");
    assert!(operating.contains(&format!("; {} values, ", number(VALUES_MAX))));
    assert!(PAGE.contains("the key `$serde_json::private::Number` is refused"));
    assert!(json::decode_znode(br#"{"$serde_json::private::Number":"1"}"#).is_err());
    assert!(PAGE.contains(&format!("more than {} bytes", dir::NAME_BYTES_MAX)));
    assert!(PAGE.contains(&format!("than {} directories", dir::DEPTH_MAX)));
}

#[test]
fn the_table_of_extensions_is_right() {
    let line = PAGE.lines().find(|line| line.contains("its extension says")).unwrap();
    for extension in ["json", "yaml", "yml", "php"] {
        assert!(line.contains(&format!("`.{extension}`")), "{line}");
        let format = ExportFormat::of_extension(Path::new(&format!("hosts.{extension}")));
        let name = if extension == "yml" { "yaml" } else { extension };
        assert_eq!(format.unwrap().to_string(), name);
    }
    assert_eq!(ExportFormat::of_extension(Path::new("hosts.txt")), None);
}
