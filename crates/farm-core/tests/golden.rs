//! The layout of every format, byte by byte.
//!
//! Run with `UPDATE_GOLDEN=1` to rewrite the files after a wanted change.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use farm_core::codec::{
    ConfFormat, ConfText, ExportFormat, TextFormat, decode, encode_farm, encode_record, json,
};
use farm_core::model::{Farm, HostName, Record};

fn record(text: &str) -> Record {
    decode(ConfText::Json, text.as_bytes()).unwrap()
}

fn databases() -> Farm {
    [
        (
            "1.2.3.4",
            r#"{"hostname":"db-01.example.com","enabled":"0","mysql":{"replication_delay":"0"}}"#,
        ),
        (
            "1.2.3.5",
            r#"{"hostname":"db-02.example.com","enabled":"0","mysql":{"replication_delay":"1"}}"#,
        ),
        ("common", "{}"),
    ]
    .into_iter()
    .map(|(name, text)| (HostName::parse(name).unwrap(), record(text)))
    .collect()
}

fn everything() -> Record {
    record(
        r#"{
            "hostname": "cache 01", "enabled": true, "port": 11211, "ratio": 1.50, "note": null,
            "switch": "on", "id": "007", "since": "2024-02-29", "empty": "", "blank": " x ",
            "tags": ["a", "b c", 3, [], {}, [1, [2]], {"k": "v", "l": [null]}],
            "nested": {"deeper": {"deepest": "$HOME \\ \"x\" ${y}"}, "none": {}, "nil": []},
            "lines": "one\ntwo\r\n\tthree\u0000", "größe": "日本 😀", "a.b": -9223372036854775808,
            "big": 18446744073709551616, "exp": 1e3
        }"#,
    )
}

fn check(format: TextFormat, name: &str, bytes: &[u8]) {
    let format = ExportFormat::Text(format);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{format}/{name}"));
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        File::create(&path).unwrap().write_all(bytes).unwrap();
        return;
    }
    let wanted = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if wanted != bytes {
        let difference = difference(&wanted, bytes);
        panic!("{} differs (UPDATE_GOLDEN=1 rewrites it)\n{difference}", path.display());
    }
}

/// The first line that differs and some after it, with every character visible.
fn difference(wanted: &[u8], written: &[u8]) -> String {
    let lines = |bytes: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        text.split_inclusive('\n').map(|line| format!("{line:?}")).collect()
    };
    let (wanted, written) = (lines(wanted), lines(written));
    let same = wanted.iter().zip(&written).take_while(|(a, b)| a == b).count();
    let shown = |sign: char, lines: &[String]| -> String {
        let lines = lines.iter().skip(same).take(5);
        lines.map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("from line {} on:\n{}{}", same + 1, shown('-', &wanted), shown('+', &written))
}

#[test]
fn layouts_are_as_they_were() {
    for (format, extension) in
        [(TextFormat::Json, "json"), (TextFormat::Yaml, "yaml"), (TextFormat::Php, "php")]
    {
        for (name, farm) in [("farm", databases()), ("empty-farm", Farm::new())] {
            let bytes = encode_farm(format, &farm).unwrap();
            check(format, &format!("{name}.{extension}"), &bytes);
        }
        for (name, record) in [("record", everything()), ("empty-record", Record::new())] {
            let bytes = encode_record(format, &record).unwrap();
            check(format, &format!("{name}.{extension}"), &bytes);
            if let Some(ConfFormat::Text(text)) = ExportFormat::Text(format).of_conf() {
                assert_eq!(decode(text, &bytes).unwrap(), record, "{text:?} {name}");
            }
        }
    }
    check(TextFormat::Json, "znode.json", &json::encode_znode(&everything()));
}
