//! A record as a directory of small files: an object is a directory, any other
//! field a file with its value as text.
//!
//! Pure data, no I/O. **Invariant.** Every name in a tree made here is a plain file
//! name, so writing the tree never leaves its directory.

use crate::model::{FieldPath, Map, Number, RESERVED_KEY, Record, Value};
use std::collections::{BTreeMap, BTreeSet};

/// How deep directories may nest.
pub const DEPTH_MAX: usize = 64;
/// Some editors begin every file with it. It is no part of a value.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// The longest file name, in bytes: the limit of most file systems.
pub const NAME_BYTES_MAX: usize = 255;

/// Files and directories by their paths from the top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Contents by path.
    pub files: BTreeMap<Vec<String>, Vec<u8>>,
    /// All directories but the top, those of the files included.
    pub folders: BTreeSet<Vec<String>>,
}

/// The result of [`encode`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The fields that have files.
    pub tree: Tree,
    /// The fields that have none, with everything below them.
    pub refused: Vec<(FieldPath, Refusal)>,
}

/// Why a field cannot be a file.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The name is empty.
    #[error("a file name cannot be empty")]
    Empty,
    /// The name starts with a dot: `..` leads out, and dot-files are not ours.
    #[error("a file name cannot start with a dot")]
    Dot,
    /// The name has a slash or a NUL.
    #[error("a file name cannot contain a slash or a NUL")]
    Character,
    /// The name is longer than [`NAME_BYTES_MAX`].
    #[error("the name is too long for a file")]
    Long,
    /// It nests deeper than [`DEPTH_MAX`].
    #[error("the directories nest too deep")]
    Deep,
    /// The name is [`RESERVED_KEY`].
    #[error("the name is reserved")]
    Reserved,
    /// The name is one of [`is_left_by_editors`].
    #[error("editors leave files with such names behind")]
    Editor,
}

/// Whether a name is that of a file which editors create beside the one that they save:
/// `*~`, `#*#` or vim's `4913`. In a config that people edit, it is no field.
#[must_use]
pub fn is_left_by_editors(name: &[u8]) -> bool {
    let is_between = |end: u8| name.len() > 1 && name[0] == end && name[name.len() - 1] == end;
    name.ends_with(b"~") || is_between(b'#') || name == b"4913"
}

/// Checks that a key can be a file name.
///
/// # Errors
///
/// The first [`Refusal`] that applies, but never [`Refusal::Deep`] or [`Refusal::Editor`].
pub fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() {
        Err(Refusal::Empty)
    } else if name.starts_with('.') {
        Err(Refusal::Dot)
    } else if name.contains(['/', '\0']) {
        Err(Refusal::Character)
    } else if name.len() > NAME_BYTES_MAX {
        Err(Refusal::Long)
    } else if name == RESERVED_KEY {
        Err(Refusal::Reserved)
    } else {
        Ok(())
    }
}

/// Lays a record out as files and directories.
#[must_use]
pub fn encode(record: &Record) -> Encoded {
    let mut encoded = Encoded::default();
    lay_out(record.as_map(), check_name, &mut Vec::new(), &mut encoded);
    encoded
}

/// As [`encode`], for a directory that people edit: without [`is_left_by_editors`].
#[must_use]
pub fn encode_conf(record: &Record) -> Encoded {
    let check = |name: &str| match is_left_by_editors(name.as_bytes()) {
        true => Err(Refusal::Editor),
        false => check_name(name),
    };
    let mut encoded = Encoded::default();
    lay_out(record.as_map(), check, &mut Vec::new(), &mut encoded);
    encoded
}

fn lay_out(
    map: &Map<String, Value>,
    check: fn(&str) -> Result<(), Refusal>,
    keys: &mut Vec<String>,
    encoded: &mut Encoded,
) {
    for (name, value) in map {
        keys.push(name.clone());
        let verdict = if keys.len() > DEPTH_MAX { Err(Refusal::Deep) } else { check(name) };
        match (verdict, value) {
            (Err(refusal), _) => {
                encoded.refused.push((FieldPath::from_keys(keys.clone()), refusal));
            }
            (Ok(()), Value::Object(below)) => {
                encoded.tree.folders.insert(keys.clone());
                lay_out(below, check, keys, encoded);
            }
            (Ok(()), leaf) => {
                encoded.tree.files.insert(keys.clone(), text_of(leaf).into_bytes());
            }
        }
        keys.pop();
    }
}

/// The contents of the file for a value.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// The values of the files when they were last read or written.
///
/// Text alone does not say whether `3` is a number. The last value does: while the
/// text stays, so does the value, and an edited number stays a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    values: BTreeMap<Vec<String>, Value>,
}

impl Memory {
    /// How many values of deleted fields are kept: an editor that deletes a file and
    /// creates it again must not turn a number into text.
    pub const GONE_MAX: usize = 10_000;

    /// Remembers the fields of a record.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let mut memory = Self::default();
        memory.learn(record);
        memory
    }

    /// Remembers one field.
    pub fn learn_field(&mut self, keys: &[String], value: Value) {
        self.values.insert(keys.to_vec(), value);
    }

    /// Adds the fields of a newer record.
    pub fn learn(&mut self, record: &Record) {
        let leaves = record.leaves();
        if self.values.len() > leaves.len() + Self::GONE_MAX {
            self.values.clear();
        }
        for (field, value) in leaves {
            self.values.insert(field.keys().to_vec(), value.clone());
        }
    }

    /// The value of a file with this text.
    #[must_use]
    pub fn value_of(&self, keys: &[String], text: &str) -> Value {
        let trimmed = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim();
        let as_text = || Value::String(trimmed.to_owned());
        let Some(known) = self.values.get(keys) else { return as_text() };
        // A known text may begin with a mark of its own.
        if [text.trim(), trimmed].contains(&text_of(known).trim()) {
            return known.clone();
        }
        let edited = match known {
            Value::Number(_) => serde_json::from_str::<Number>(trimmed).ok().map(Value::Number),
            Value::Bool(_) => trimmed.parse().ok().map(Value::Bool),
            Value::Array(_) => serde_json::from_str(trimmed).ok().map(Value::Array),
            Value::Null | Value::String(_) | Value::Object(_) => None,
        };
        // A record refuses a list that nests too deep.
        let fits = |value: &Value| {
            Record::new().set(&FieldPath::from_keys(keys.to_vec()), value.clone()).is_ok()
        };
        edited.filter(fits).unwrap_or_else(as_text)
    }
}

/// The result of [`decode`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The fields.
    pub record: Record,
    /// Files that are not text, and names that [`check_name`] refuses.
    pub skipped: Vec<FieldPath>,
}

/// Decodes a tree; the memory gives the values that are not strings.
#[must_use]
pub fn decode(tree: &Tree, memory: &Memory) -> Decoded {
    let mut top = Map::new();
    let mut skipped = Vec::new();
    for keys in &tree.folders {
        if is_plain(keys) {
            put(&mut top, keys, Value::Object(Map::new()));
        } else {
            skipped.push(FieldPath::from_keys(keys.clone()));
        }
    }
    for (keys, contents) in &tree.files {
        match std::str::from_utf8(contents) {
            Ok(text) if is_plain(keys) => put(&mut top, keys, memory.value_of(keys, text)),
            Ok(_) | Err(_) => skipped.push(FieldPath::from_keys(keys.clone())),
        }
    }
    Decoded { record: Record::from_map(top), skipped }
}

fn is_plain(keys: &[String]) -> bool {
    keys.len() <= DEPTH_MAX && keys.iter().all(|name| check_name(name).is_ok())
}

/// Adds a value, but never replaces a field that is there.
fn put(top: &mut Map<String, Value>, keys: &[String], value: Value) {
    let Some((last, above)) = keys.split_last() else { return };
    let mut map = top;
    for key in above {
        let below = map.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(below) = below else { return };
        map = below;
    }
    map.entry(last.clone()).or_insert(value);
}

/// Copies the fields at `paths` from `agreed`, unless `record` has something else
/// there.
///
/// Without this a field whose name cannot be a file name, or whose file cannot be
/// read at the moment, would look deleted.
pub fn carry_over(record: &mut Record, agreed: &Record, paths: &[FieldPath]) {
    let mut top = std::mem::take(record).into_map();
    for path in paths {
        if let Some(value) = agreed.get(path) {
            put(&mut top, path.keys(), value.clone());
        }
    }
    *record = Record::from_map(top);
}

#[cfg(test)]
mod tests {
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
            let encoded =
                encode(&record(json!({name: "1", "good": {name: {"deep": 1}, "x": "2"}})));
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
}
