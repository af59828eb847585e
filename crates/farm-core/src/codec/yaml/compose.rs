//! Turns the library's events into a value.
//!
//! Keys are always text; aliases and `<<` are expanded. The cost of a document is
//! bounded: its size and its depth, and its size and its values with all aliases expanded.

use std::collections::HashMap;

use serde_json::map::Entry;
use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Tag};

use super::scalar::{is_non_specific, is_text_tag, resolve};
use crate::codec::bounds::VALUES_MAX;
use crate::codec::error::{DecodeError, FieldFault};
use crate::model::{DEPTH_MAX, FieldPath, RESERVED_KEY, height};

/// The largest document that is read. A record has to fit into a znode, which by
/// ZooKeeper's own bound has at most a quarter of this.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// The size that a document may have with its aliases expanded, in bytes of text plus
/// values. A document without anchors never exceeds it.
const WEIGHT_MAX: usize = 2 * DOCUMENT_BYTES_MAX;

/// Parses the one document of a text; `None` if there are only comments.
pub(super) fn document(text: &str) -> Result<Option<Value>, DecodeError> {
    let mut options = granit_parser::Options::default();
    // The library counts the comments that it emits, and refuses long ones.
    options.set_emit_comments(false);
    let mut composer = Composer::default();
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, _) = event.map_err(|error| DecodeError::Yaml(Box::new(error)))?;
        if let Event::DocumentStart(..) = event {
            documents += 1;
            if documents > 1 {
                return Err(DecodeError::ManyDocuments);
            }
        }
        composer.take(event)?;
    }
    Ok(composer.root)
}

/// A collection that has begun and not ended. An anchor of 0 means no anchor.
enum Frame {
    List { items: Vec<Value>, anchor: usize },
    Object { map: Map<String, Value>, key: Key, sources: Vec<Value>, anchor: usize },
}

/// What comes next in an open object.
enum Key {
    /// A key comes next.
    Awaited,
    /// The value of this key comes next.
    Named(String),
    /// What `<<` merges comes next.
    Merge,
}

#[derive(Default)]
struct Composer {
    open: Vec<Frame>,
    anchored: HashMap<usize, Value>,
    root: Option<Value>,
    weight: usize,
    /// How many values there are so far, the root excepted.
    values: usize,
}

impl Composer {
    fn take(&mut self, event: Event<'_>) -> Result<(), DecodeError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                self.scalar(&text, is_plain, anchor, tag.as_deref())
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.begin(Frame::List { items: Vec::new(), anchor }, tag.as_deref(), "seq")
            }
            Event::MappingStart(_, anchor, tag) => {
                let (map, key, sources) = (Map::new(), Key::Awaited, Vec::new());
                self.begin(Frame::Object { map, key, sources, anchor }, tag.as_deref(), "map")
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor),
            // Starts and ends of the stream and of documents.
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        is_plain: bool,
        anchor: usize,
        tag: Option<&Tag>,
    ) -> Result<(), DecodeError> {
        self.spend(1 + text.len())?;
        if !self.awaits_key() {
            let value = resolve(text, is_plain, tag).map_err(|fault| self.fault(fault))?;
            return self.finish(value, anchor);
        }
        if tag.is_some_and(|tag| !is_text_tag(tag) && !tag.is_yaml_core_schema()) {
            return Err(self.fault(FieldFault::UnknownTag));
        }
        if text == RESERVED_KEY {
            return Err(DecodeError::ReservedKey);
        }
        if anchor > 0 {
            self.spend(1 + text.len())?;
            self.anchored.insert(anchor, Value::from(text));
        }
        if let Some(Frame::Object { key, .. }) = self.open.last_mut() {
            let is_merge = text == "<<" && is_plain && tag.is_none();
            *key = if is_merge { Key::Merge } else { Key::Named(text.to_owned()) };
        }
        Ok(())
    }

    fn begin(&mut self, open: Frame, tag: Option<&Tag>, own: &str) -> Result<(), DecodeError> {
        self.spend(1)?;
        if self.awaits_key() {
            return Err(self.fault(FieldFault::ComplexKey));
        }
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema_tag(own)
            && !is_non_specific(tag)
        {
            let fault = if tag.is_yaml_core_schema() {
                FieldFault::TagMismatch
            } else {
                FieldFault::UnknownTag
            };
            return Err(self.fault(fault));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), DecodeError> {
        match self.open.pop() {
            Some(Frame::List { items, anchor }) => self.finish(Value::Array(items), anchor),
            Some(Frame::Object { mut map, sources, anchor, .. }) => {
                for source in sources {
                    merge(&mut map, source).map_err(|fault| self.fault(fault))?;
                }
                self.finish(Value::Object(map), anchor)
            }
            None => Ok(()),
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<(), DecodeError> {
        if self.awaits_key() {
            return Err(self.fault(FieldFault::ComplexKey));
        }
        let Some(value) = self.anchored.get(&anchor) else {
            return Err(self.fault(FieldFault::Cycle));
        };
        if self.open.len() + height(value) > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        let (value_weight, value_count) = (weight(value), count(value));
        self.spend(value_weight)?;
        // The value itself is counted when it is added.
        self.count(value_count - 1)?;
        match self.anchored.get(&anchor).cloned() {
            Some(value) => self.finish(value, 0),
            None => Ok(()),
        }
    }

    /// Adds a complete value to the innermost open collection.
    fn finish(&mut self, value: Value, anchor: usize) -> Result<(), DecodeError> {
        if anchor > 0 {
            self.spend(weight(&value))?;
            self.anchored.insert(anchor, value.clone());
        }
        self.count(usize::from(!self.open.is_empty()))?;
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List { items, .. }) => items.push(value),
            Some(Frame::Object { map, key, sources, .. }) => {
                match std::mem::replace(key, Key::Awaited) {
                    Key::Merge => sources.push(value),
                    Key::Named(name) => match map.entry(name.as_str()) {
                        Entry::Vacant(place) => {
                            place.insert(value);
                        }
                        Entry::Occupied(_) => {
                            *key = Key::Named(name);
                            return Err(self.fault(FieldFault::DuplicateKey));
                        }
                    },
                    Key::Awaited => {}
                }
            }
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame::Object { key: Key::Awaited, .. }))
    }

    fn spend(&mut self, weight: usize) -> Result<(), DecodeError> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            return Err(DecodeError::TooLarge { bytes_max: WEIGHT_MAX });
        }
        Ok(())
    }

    fn count(&mut self, values: usize) -> Result<(), DecodeError> {
        self.values = self.values.saturating_add(values);
        if self.values > VALUES_MAX {
            return Err(DecodeError::TooManyValues { values_max: VALUES_MAX });
        }
        Ok(())
    }

    fn fault(&self, fault: FieldFault) -> DecodeError {
        let keys = self.open.iter().filter_map(|open| match open {
            Frame::List { items, .. } => Some(items.len().to_string()),
            Frame::Object { key: Key::Named(name), .. } => Some(name.clone()),
            Frame::Object { key: Key::Merge, .. } => Some("<<".to_owned()),
            Frame::Object { key: Key::Awaited, .. } => None,
        });
        DecodeError::Field { field: FieldPath::from_keys(keys.collect()), fault }
    }
}

/// Adds the keys that are missing, from one mapping or a list of mappings.
fn merge(map: &mut Map<String, Value>, source: Value) -> Result<(), FieldFault> {
    let sources = match source {
        Value::Array(sources) => sources,
        single => vec![single],
    };
    for source in sources {
        let Value::Object(source) = source else { return Err(FieldFault::MergeOfValues) };
        for (key, value) in source {
            map.entry(key).or_insert(value);
        }
    }
    Ok(())
}

fn weight(value: &Value) -> usize {
    let own = match value {
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => number.as_str().len(),
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(map) => map.iter().map(|(key, value)| 1 + key.len() + weight(value)).sum(),
    };
    1 + own
}

/// How many values it consists of, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(map) => map.values().map(count).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        document(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).unwrap()
    }

    fn fault(text: &str) -> (String, FieldFault) {
        match document(text) {
            Err(DecodeError::Field { field, fault }) => (field.to_string(), fault),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn quoted_and_tagged_text_follows_its_notation() {
        let text = "a: '3'\nb: \"true\"\nc: !!str 3\nd: ! 3\ne: !!int '3'\nf: !!float 3.0\n\
                    g: !!null ''\nh: !!bool \"true\"\ni: !!map {}\nj: !!seq []\nk: |\n  1\n";
        let wanted = json!({"a": "3", "b": "true", "c": "3", "d": "3", "e": 3, "f": 3.0,
            "g": null, "h": true, "i": {}, "j": [], "k": "1\n"});
        assert_eq!(value(text), wanted);
    }

    #[test]
    fn keys_are_text_whatever_they_look_like() {
        let text = "1: a\n1.50: b\ntrue: c\nno: d\n0x10: e\n'': f\n\"x y\": g\n? long\n: h\n";
        let wanted = json!({"1": "a", "1.50": "b", "true": "c", "no": "d", "0x10": "e", "": "f",
            "x y": "g", "long": "h"});
        assert_eq!(value(text), wanted);
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_its_field() {
        for (text, field, wanted) in [
            ("a: {b: [1, .nan]}", "a.b.1", FieldFault::NotFinite),
            ("a: -.inf", "a", FieldFault::NotFinite),
            ("a: 1\nb: 2\na: 3", "a", FieldFault::DuplicateKey),
            ("o: {a: 1, 'a': 3}", "o.a", FieldFault::DuplicateKey),
            ("o: {? [1] : 3}", "o", FieldFault::ComplexKey),
            ("o: {? {a: 1} : 3}", "o", FieldFault::ComplexKey),
            ("a: &x b\no: {*x : 3}", "o", FieldFault::ComplexKey),
            ("a: !!python/object:os.system x", "a", FieldFault::UnknownTag),
            ("a: !secret {}", "a", FieldFault::UnknownTag),
            ("a: !!binary aGk=", "a", FieldFault::UnknownTag),
            ("!secret a: 1", "", FieldFault::UnknownTag),
            ("a: !!int 3.0", "a", FieldFault::TagMismatch),
            ("a: !!bool yes", "a", FieldFault::TagMismatch),
            ("a: !!seq {}", "a", FieldFault::TagMismatch),
            ("a: &x [*x]", "a.0", FieldFault::Cycle),
            ("a: {<<: 1}", "a", FieldFault::MergeOfValues),
            ("a: {<<: [{}, 1]}", "a", FieldFault::MergeOfValues),
        ] {
            assert_eq!(fault(text), (field.to_owned(), wanted), "{text}");
        }
        let refused = document("a: {'$serde_json::private::Number': '1'}");
        assert!(matches!(refused, Err(DecodeError::ReservedKey)), "{refused:?}");
    }

    #[test]
    fn there_is_one_document() {
        assert_eq!(document("").unwrap(), None);
        assert_eq!(document("# nothing\n").unwrap(), None);
        assert_eq!(document("---\n...\n").unwrap(), Some(Value::Null));
        assert_eq!(value("%YAML 1.2\n---\na: 1 # one\n...\n"), json!({"a": 1}));
        let refused = document("a: 1\n---\nb: 2\n");
        assert!(matches!(refused, Err(DecodeError::ManyDocuments)), "{refused:?}");
        let many_comments = "# line\n".repeat(1000) + "a: 1\n";
        assert_eq!(value(&many_comments), json!({"a": 1}));
        for text in ["a: b: c", "a: *gone", "a: [1", "a: \"x", "a: 'x' y", "- 1\na: 2"] {
            let refused = document(text);
            assert!(matches!(refused, Err(DecodeError::Yaml(_))), "{text}: {refused:?}");
        }
    }

    #[test]
    fn aliases_and_merges_are_filled_in() {
        let text = "base: &b {x: 1, y: 1}\nmore: &m {y: 2, z: 2}\n\
                    one: {<<: *b, x: 3}\nall: {<<: [*b, *m], w: 0}\nsame: *b\n'<<': text\n";
        let wanted = json!({"base": {"x": 1, "y": 1}, "more": {"y": 2, "z": 2},
            "one": {"x": 3, "y": 1}, "all": {"w": 0, "x": 1, "y": 1, "z": 2},
            "same": {"x": 1, "y": 1}, "<<": "text"});
        assert_eq!(value(text), wanted);
    }

    #[test]
    fn aliases_cannot_blow_a_document_up() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        let mut tower = String::from("a0: &a0 [x]\n");
        for level in 1..200 {
            let below = format!("*a{}", level - 1);
            let ten = [below.as_str(); 10].join(", ");
            bomb += &format!("a{level}: &a{level} [{ten}]\n");
            tower += &format!("a{level}: &a{level} [{below}]\n");
        }
        let refused = document(&bomb);
        assert!(matches!(refused, Err(DecodeError::TooManyValues { .. })), "{refused:?}");
        let refused = document(&tower);
        assert!(matches!(refused, Err(DecodeError::TooDeep)), "{refused:?}");

        let wide = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(1000));
        let refused = document(&wide);
        assert!(matches!(refused, Err(DecodeError::TooLarge { .. })), "{refused:?}");

        let anchors: String = (0..DEPTH_MAX - 1).map(|level| format!("&a{level} [")).collect();
        let nested = format!("a: {anchors}{}{}", "x, ".repeat(100_000), "]".repeat(DEPTH_MAX - 1));
        let refused = document(&nested);
        assert!(matches!(refused, Err(DecodeError::TooManyValues { .. })), "{refused:?}");

        let items = |count: usize| format!("a: &a [{}]\nb: *a\n", "x, ".repeat(count));
        value(&items(VALUES_MAX / 2 - 1));
        let refused = document(&items(VALUES_MAX / 2));
        assert!(matches!(refused, Err(DecodeError::TooManyValues { .. })), "{refused:?}");
    }

    #[test]
    fn nesting_is_bounded_in_every_notation() {
        let flow = |depth: usize| format!("{}1{}", "{a: ".repeat(depth), "}".repeat(depth));
        assert_eq!(height(&value(&flow(DEPTH_MAX))), DEPTH_MAX);
        let refused = document(&flow(DEPTH_MAX + 1));
        assert!(matches!(refused, Err(DecodeError::TooDeep)), "{refused:?}");

        let dashes = |depth: usize| "- ".repeat(depth) + "1\n";
        assert_eq!(height(&value(&dashes(DEPTH_MAX))), DEPTH_MAX);
        for text in [dashes(DEPTH_MAX + 1), flow(100_000), dashes(100_000), "[".repeat(1_000_000)] {
            let refused = document(&text);
            let is_bounded = matches!(refused, Err(DecodeError::TooDeep | DecodeError::Yaml(_)));
            assert!(is_bounded, "{}: {refused:?}", &text[..20]);
        }
    }
}
