use super::*;
use serde_json::json;

fn record(value: Value) -> Record {
    match value {
        Value::Object(map) => Record::from_map(map),
        other => panic!("no object: {other}"),
    }
}

fn keys(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

#[test]
fn what_editors_leave_behind_is_no_field_of_a_config() {
    let names = ["a~", "~", "#a#", "##", "4913", "#", "#a", "a#", "~a", "49130", "a~b"];
    let is_left = |name: &&&str| is_left_by_editors(name.as_bytes());
    let left: Vec<_> = names.iter().filter(is_left).copied().collect();
    assert_eq!(left, ["a~", "~", "#a#", "##", "4913"]);
    let record = record(json!({"a~": "1", "b": {"4913": "2", "c": "3"}}));
    assert_eq!(encode_conf(&record).tree, tree(&[("b/c", "3")], &["b"]));
    let refused = encode_conf(&record).refused;
    assert_eq!(refused.len(), 2);
    assert!(refused.iter().all(|(_, why)| *why == Refusal::Editor), "{refused:?}");
    assert_eq!(encode(&record).tree.files.len(), 3);
}

fn tree(files: &[(&str, &str)], folders: &[&str]) -> Tree {
    Tree {
        files: files.iter().map(|(p, text)| (keys(p), text.as_bytes().to_vec())).collect(),
        folders: folders.iter().map(|p| keys(p)).collect(),
    }
}

#[test]
fn objects_are_directories_and_values_are_their_text() {
    let encoded = encode(&record(json!({
        "enabled": "1", "text": " x ", "on": true, "delay": 1.5, "none": null, "e": "",
        "list": ["a", 1], "empty": {}, "mysql": {"a.b": "7"},
    })));
    let files = [
        ("enabled", "1"),
        ("text", " x "),
        ("on", "true"),
        ("delay", "1.5"),
        ("none", "null"),
        ("e", ""),
        ("list", "[\"a\",1]"),
        ("mysql/a.b", "7"),
    ];
    assert_eq!(encoded.tree, tree(&files, &["empty", "mysql"]));
    assert_eq!(encoded.refused, []);
}

#[test]
fn names_that_are_no_file_names_are_refused_one_by_one() {
    let long = "n".repeat(256);
    let cases = [
        ("", Refusal::Empty),
        (".", Refusal::Dot),
        ("..", Refusal::Dot),
        (".zkexport", Refusal::Dot),
        ("../x", Refusal::Dot),
        ("/etc/passwd", Refusal::Character),
        ("a/../../x", Refusal::Character),
        ("nul\0", Refusal::Character),
        (long.as_str(), Refusal::Long),
    ];
    for (name, refusal) in cases {
        let encoded = encode(&record(json!({name: "1", "good": {name: {"deep": 1}, "x": "2"}})));
        assert_eq!(encoded.tree, tree(&[("good/x", "2")], &["good"]), "{name:?}");
        let top = FieldPath::from_keys(vec![name.to_owned()]);
        let below = FieldPath::from_keys(vec!["good".to_owned(), name.to_owned()]);
        let mut refused = encoded.refused;
        refused.sort_by_key(|(field, _)| field.keys().len());
        assert_eq!(refused, [(top, refusal), (below, refusal)], "{name:?}");
    }
    assert_eq!(check_name(&"n".repeat(255)), Ok(()));
}

#[test]
fn what_stands_too_deep_is_refused_and_the_rest_written() {
    let mut value = json!("bottom");
    for _ in 0..DEPTH_MAX {
        value = json!({"d": value, "x": "1"});
    }
    let encoded = encode(&record(value.clone()));
    assert_eq!((encoded.tree.files.len(), encoded.refused.len()), (DEPTH_MAX + 1, 0));
    let encoded = encode(&record(json!({"d": value})));
    assert_eq!((encoded.tree.files.len(), encoded.refused.len()), (DEPTH_MAX - 1, 2));
}

#[test]
fn unknown_text_is_a_string_without_its_surrounding_white_space() {
    let decoded = decode(
        &tree(&[("a", " 3\n"), ("b/c", "true"), ("d", ""), ("e", "\u{e9}\r\n")], &["b", "f"]),
        &Memory::default(),
    );
    let wanted = json!({"a": "3", "b": {"c": "true"}, "d": "", "e": "\u{e9}", "f": {}});
    assert_eq!(decoded.record, record(wanted));
    assert_eq!(decoded.skipped, []);
}

/// known value, text of the file, its value
#[test]
fn known_values_keep_their_type_while_the_text_allows() {
    let cases = [
        (json!("3"), "3", json!("3")),
        (json!(" x "), " x ", json!(" x ")),
        (json!(" x "), "x\n", json!(" x ")),
        (json!(" x "), "y\n", json!("y")),
        (json!(3), "3\n", json!(3)),
        (json!(3), "4\n", json!(4)),
        (json!(3), "4.50", serde_json::from_str("4.50").unwrap()),
        (json!(3), "007", json!("007")),
        (json!(3), "true", json!("true")),
        (json!(3), "", json!("")),
        (json!(true), "false", json!(false)),
        (json!(true), "1", json!("1")),
        (json!(null), "null\n", json!(null)),
        (json!(null), "x", json!("x")),
        (json!(["a"]), "[\"a\"]", json!(["a"])),
        (json!(["a"]), "[\"a\", 2]", json!(["a", 2])),
        (json!(["a"]), "[\"a\"", json!("[\"a\"")),
        (json!({}), "x", json!("x")),
        (json!("true"), "false", json!("false")),
    ];
    for (known, text, wanted) in cases {
        let memory = Memory::of(&record(json!({"o": {"f": known.clone()}})));
        let decoded = decode(&tree(&[("o/f", text)], &["o"]), &memory);
        assert_eq!(decoded.record, record(json!({"o": {"f": wanted}})), "{known} as {text:?}");
    }
}

/// known value, text of the file, its value
#[test]
fn a_byte_order_mark_at_the_start_of_a_file_is_dropped() {
    let marked = |text: &str| format!("\u{feff}{text}");
    let unknown = decode(&tree(&[("a", &marked(" 1\n"))], &[]), &Memory::default());
    assert_eq!(unknown.record, record(json!({"a": "1"})));
    for (known, text, wanted) in [
        (json!("1"), marked("1\n"), json!("1")),
        (json!(" x "), marked(" x "), json!(" x ")),
        (json!(3), marked("4"), json!(4)),
        (json!(true), marked("false\r\n"), json!(false)),
        // A value that begins with a mark stays while its text does.
        (json!(marked("x")), marked("x"), json!(marked("x"))),
        (json!(marked("x")), marked(&marked("x")), json!(marked("x"))),
        (json!(marked("x")), "x".to_owned(), json!("x")),
    ] {
        let memory = Memory::of(&record(json!({"f": known.clone()})));
        let decoded = decode(&tree(&[("f", &text)], &[]), &memory);
        assert_eq!(decoded.record, record(json!({"f": wanted})), "{known} as {text:?}");
    }
}

#[test]
fn memory_outlives_a_file_that_is_made_anew() {
    let mut memory = Memory::of(&record(json!({"n": 3})));
    memory.learn(&record(json!({"other": "x"})));
    let decoded = decode(&tree(&[("n", "4")], &[]), &memory);
    assert_eq!(decoded.record, record(json!({"n": 4})));
}

#[test]
fn memory_of_what_is_gone_is_bounded() {
    let mut memory = Memory::default();
    for n in 0..3 * Memory::GONE_MAX {
        memory.learn(&record(json!({format!("field-{n}"): n})));
    }
    assert!(memory.values.len() <= Memory::GONE_MAX + 2);
}

#[test]
fn files_that_are_no_text_are_skipped_and_carried_over() {
    let mut found = tree(&[("a", "1")], &["o"]);
    found.files.insert(keys("o/raw"), vec![0xff, 0xfe]);
    found.files.insert(vec![RESERVED_KEY.to_owned()], b"5".to_vec());
    let mut decoded = decode(&found, &Memory::default());
    assert_eq!(decoded.record, record(json!({"a": "1", "o": {}})));
    assert_eq!(decoded.skipped.len(), 2);

    let agreed = record(json!({"a": "0", "o": {"raw": 5, "x": 1}, "../x": "no file"}));
    decoded.skipped.push(FieldPath::from_keys(vec!["../x".to_owned()]));
    carry_over(&mut decoded.record, &agreed, &decoded.skipped);
    assert_eq!(decoded.record, record(json!({"a": "1", "o": {"raw": 5}, "../x": "no file"})));
}

#[test]
fn carry_over_never_goes_over_what_the_directory_says() {
    let mut local = record(json!({"a": "file now"}));
    carry_over(
        &mut local,
        &record(json!({"a": {"..": 1}})),
        &[FieldPath::from_keys(vec!["a".to_owned(), "..".to_owned()])],
    );
    assert_eq!(local, record(json!({"a": "file now"})));
}

fn random_value(rng: &mut fastrand::Rng, depth: usize) -> Value {
    let text = |rng: &mut fastrand::Rng| {
        let alphabet = [' ', '\n', 'a', '.', '1', '"', '$', '\u{2028}', '\u{1f600}', '-'];
        (0..rng.usize(..5)).map(|_| alphabet[rng.usize(..alphabet.len())]).collect::<String>()
    };
    match rng.u8(..if depth > 0 { 7 } else { 5 }) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!(rng.i64(..)),
        3 => json!(rng.f64()),
        4 => json!(text(rng)),
        5 => Value::Array((0..rng.usize(..3)).map(|_| random_value(rng, depth - 1)).collect()),
        _ => (0..rng.usize(..4))
            .map(|n| (format!("k{n}{}", text(rng)), random_value(rng, depth - 1)))
            .collect(),
    }
}

#[test]
fn random_records_come_back_as_they_were() {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    for _ in 0..500 {
        let fields =
            (0..rng.usize(..6)).map(|n| (format!("f{n}"), random_value(&mut rng, 4))).collect();
        let original = record(fields);
        let encoded = encode(&original);
        let mut decoded = decode(&encoded.tree, &Memory::of(&original));
        let refused: Vec<_> = encoded.refused.into_iter().map(|(field, _)| field).collect();
        carry_over(&mut decoded.record, &original, &refused);
        assert_eq!(decoded.record, original, "seed {seed}");
    }
}
