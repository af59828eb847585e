//! PHP reads the files that we write for it.
//!
//! Each case is a script of ours and the same farm in JSON. One PHP process includes
//! every script and compares its array, types and order included, with the result of
//! `json_decode`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod records;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use farm_core::codec::{TextFormat, encode_farm, encode_record};
use farm_core::model::{DEPTH_MAX, Farm, FieldPath, HostName, Map, Record, Value};
use fastrand::Rng;

const DRIVER: &str = r#"<?php
error_reporting(E_ALL);
set_error_handler(function ($n, $message) { throw new ErrorException($message); });
$load = function () {
    $is = include func_get_arg(0);
    return [$is, array_keys(get_defined_vars())];
};
$dir = $argv[1];
$count = (int) $argv[2];
for ($case = 0; $case < $count; $case++) {
    ob_start();
    try {
        [$is, $variables] = $load("$dir/$case.php");
        $printed = ob_get_clean();
        $wanted = json_decode(file_get_contents("$dir/$case.json"), true, 512, JSON_THROW_ON_ERROR);
    } catch (Throwable $error) {
        ob_end_clean();
        echo "case $case: ", get_class($error), ": ", $error->getMessage(), "\n";
        continue;
    }
    if ($printed !== "") {
        echo "case $case printed ", json_encode($printed), "\n";
    }
    if ($is !== $wanted) {
        echo "case $case is ", var_export($is, true), "\nwanted ", var_export($wanted, true), "\n";
    }
    if ($variables !== ["is"]) {
        echo "case $case left variables behind\n";
    }
}
echo "compared $count cases\n";
"#;

/// A directory that is removed when the test ends, also if it fails.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory that cannot be removed stays in the build directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run_php(arguments: &[&std::ffi::OsStr]) -> String {
    let php = std::env::var_os("FARM_PHP").unwrap_or_else(|| "php".into());
    let output = Command::new(&php)
        .args(["-n", "-d", "display_errors=1", "-d", "short_open_tag=1", "-d", "precision=17"])
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot run {php:?}: {error}; install php-cli, or let FARM_PHP name a php")
        });
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {printed}", output.status);
    printed
}

fn compare(name: &str, cases: &[(Vec<u8>, Vec<u8>)]) {
    let scratch = Scratch::new(name);
    let driver = scratch.write("driver.php", DRIVER.as_bytes());
    for (case, (php, json)) in cases.iter().enumerate() {
        scratch.write(&format!("{case}.php"), php);
        scratch.write(&format!("{case}.json"), json);
    }
    let count = cases.len().to_string();
    let printed = run_php(&[driver.as_ref(), scratch.0.as_ref(), count.as_ref()]);
    assert_eq!(printed, format!("compared {count} cases\n"));
}

fn of_farm(farm: &Farm) -> (Vec<u8>, Vec<u8>) {
    let encode = |format| encode_farm(format, farm).unwrap();
    (encode(TextFormat::Php), encode(TextFormat::Json))
}

fn of_record(record: &Record) -> (Vec<u8>, Vec<u8>) {
    let encode = |format| encode_record(format, record).unwrap();
    (encode(TextFormat::Php), encode(TextFormat::Json))
}

fn record(fields: impl IntoIterator<Item = (String, Value)>) -> Record {
    Record::from_map(fields.into_iter().collect())
}

#[test]
fn random_farms_are_the_same_in_php() {
    let farms = (0..500).map(|seed| records::farm(&mut Rng::with_seed(seed)));
    // The number of a case is its seed.
    compare("php-farms", &farms.map(|farm| of_farm(&farm)).collect::<Vec<_>>());
}

#[test]
fn hostile_texts_are_only_texts_in_php() {
    let texts = records::HOSTILE_TEXTS.iter().map(|text| (*text).to_owned());
    let every_ascii = (0..=0x7f_u8).map(|byte| format!("{}1f}}", char::from(byte)));
    let after_backslash = (0..=0x7f_u8).map(|byte| format!("\\{}41", char::from(byte)));
    let after_dollar = (0..=0x7f_u8).map(|byte| format!("a${}x}}", char::from(byte)));
    let after_brace = (0..=0x7f_u8).map(|byte| format!("{{{}x}}", char::from(byte)));
    let cases: Vec<_> = texts
        .chain(every_ascii)
        .chain(after_backslash)
        .chain(after_dollar)
        .chain(after_brace)
        .map(|text| {
            let inner = Map::from_iter([(text.clone(), Value::from(text.clone()))]);
            let list = Value::from(vec![Value::from(text.clone()), Value::Object(inner.clone())]);
            of_record(&record([
                (text.clone(), Value::from(text.clone())),
                ("inner".to_owned(), Value::Object(inner)),
                ("list".to_owned(), list),
                (format!("{text}{text}"), Value::from(format!("{text}\n{text}"))),
            ]))
        })
        .collect();
    compare("php-texts", &cases);
}

#[test]
fn numbers_are_the_same_in_php() {
    let cases: Vec<_> = records::NUMBERS
        .iter()
        .map(|number| {
            let number = Value::Number(number.parse().unwrap());
            let list = Value::from(vec![number.clone(), number.clone()]);
            of_record(&record([("plain".to_owned(), number), ("list".to_owned(), list)]))
        })
        .collect();
    compare("php-numbers", &cases);
}

#[test]
fn types_are_the_ones_of_php() {
    let scratch = Scratch::new("php-types");
    let text = r#"{"float":1.0,"int":3,"least":-9223372036854775808,"big":18446744073709551616,
        "text":"3","null":null,"list":[true,false],"empty":{},"none":[],"huge":1e400,"tiny":-0.0}"#;
    let types =
        farm_core::codec::decode(farm_core::codec::ConfText::Json, text.as_bytes()).unwrap();
    let script = scratch.write("types.php", &encode_record(TextFormat::Php, &types).unwrap());
    let driver = scratch.write(
        "driver.php",
        b"<?php foreach (include $argv[1] as $name => $value) {
            echo $name, ' ', gettype($value), ' ', json_encode(is_float($value) ? (string) $value : $value), \"\\n\";
        }",
    );
    let wanted = "big double \"1.8446744073709552E+19\"\nempty array []\nfloat double \"1\"\n\
                  huge double \"INF\"\nint integer 3\nleast integer -9223372036854775808\n\
                  list array [true,false]\nnone array []\nnull NULL null\ntext string \"3\"\n\
                  tiny double \"-0\"\n";
    assert_eq!(run_php(&[driver.as_ref(), script.as_ref()]), wanted);
}

#[test]
fn the_deepest_record_is_within_php_s_own_limits() {
    let keys = |depth: usize| FieldPath::from_keys(vec!["deep".to_owned(); depth]);
    let mut objects = Record::new();
    objects.set(&keys(DEPTH_MAX), Value::from("$end")).unwrap();
    let list = (1..DEPTH_MAX).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
    let mut lists = Record::new();
    lists.set(&keys(1), list).unwrap();
    let farm = [("objects", &objects), ("lists", &lists)]
        .into_iter()
        .map(|(name, record)| (HostName::parse(name).unwrap(), record.clone()))
        .collect();
    compare("php-depth", &[of_record(&objects), of_record(&lists), of_farm(&farm)]);
}
