//! The record of one host.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::depth::{DEPTH_MAX, height};
use super::field::FieldPath;

/// The one key that no record can have.
///
/// With arbitrary precision, `serde_json` passes numbers through `serde` as an
/// object with this key, so an object with it would turn into a number.
pub const RESERVED_KEY: &str = "$serde_json::private::Number";

/// The fields of one host; numbers keep the text they were written with.
///
/// A clone shares the fields until one of the two is changed, and comparing it with
/// its origin costs nothing: each change of one host clones and compares the whole
/// farm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record(Arc<Map<String, Value>>);

impl Record {
    /// A record without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes an object as a record.
    #[must_use]
    pub fn from_map(map: Map<String, Value>) -> Self {
        Self(Arc::new(map))
    }

    /// Borrows the record as an object.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Turns the record into an object.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        Arc::unwrap_or_clone(self.0)
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value at `field`, which may be a whole object.
    #[must_use]
    pub fn get(&self, field: &FieldPath) -> Option<&Value> {
        let (last, above) = field.keys().split_last()?;
        above.iter().try_fold(self.as_map(), |map, key| map.get(key)?.as_object())?.get(last)
    }

    /// Gives `field` a value, and makes the objects above it that are missing.
    ///
    /// # Errors
    ///
    /// [`SetError`] if more than one plain value would be lost: the field holds an
    /// object or a list, or a value above it is not an object. The record is untouched.
    pub fn set(&mut self, field: &FieldPath, value: Value) -> Result<(), SetError> {
        let keys = field.keys();
        let Some((last, above)) = keys.split_last() else { return Err(SetError::NoField) };
        if keys.len() + height(&value) > DEPTH_MAX {
            return Err(SetError::TooDeep(field.clone()));
        }
        if keys.iter().any(|key| key == RESERVED_KEY) || has_reserved_key(&value) {
            return Err(SetError::Reserved(field.clone()));
        }
        self.check_path(keys)?;
        match self.get(field) {
            Some(Value::Object(_)) => return Err(SetError::OverObject(field.clone())),
            Some(Value::Array(_)) => return Err(SetError::OverList(field.clone())),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) | None => {}
        }
        let mut map = Arc::make_mut(&mut self.0);
        for key in above {
            let below = map.entry(key.as_str()).or_insert_with(|| Value::Object(Map::new()));
            map = below.as_object_mut().expect("check_path has seen objects only");
        }
        map.insert(last.clone(), value);
        Ok(())
    }

    fn check_path(&self, keys: &[String]) -> Result<(), SetError> {
        let mut map = self.as_map();
        for depth in 1..keys.len() {
            match map.get(&keys[depth - 1]) {
                None => break,
                Some(Value::Object(below)) => map = below,
                Some(_) => {
                    let in_the_way = FieldPath::from_keys(keys[..depth].to_vec());
                    return Err(SetError::ThroughScalar(in_the_way));
                }
            }
        }
        Ok(())
    }

    /// Removes `field`, but not the object that holds it, even if that is empty then.
    /// Returns whether the field was there.
    pub fn unset(&mut self, field: &FieldPath) -> bool {
        let Some((last, above)) = field.keys().split_last() else { return false };
        let object = above.iter().try_fold(Arc::make_mut(&mut self.0), |map, key| {
            map.get_mut(key).and_then(Value::as_object_mut)
        });
        object.is_some_and(|map| map.remove(last).is_some())
    }

    /// All fields except objects that are not empty.
    #[must_use]
    pub fn leaves(&self) -> Vec<(FieldPath, &Value)> {
        let mut leaves = Vec::new();
        collect_leaves(&self.0, &mut Vec::new(), &mut leaves);
        leaves
    }
}

fn collect_leaves<'a>(
    map: &'a Map<String, Value>,
    above: &mut Vec<String>,
    leaves: &mut Vec<(FieldPath, &'a Value)>,
) {
    for (key, value) in map {
        above.push(key.clone());
        match value {
            Value::Object(inner) if !inner.is_empty() => collect_leaves(inner, above, leaves),
            leaf => leaves.push((FieldPath::from_keys(above.clone()), leaf)),
        }
        above.pop();
    }
}

fn has_reserved_key(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(RESERVED_KEY) || map.values().any(has_reserved_key),
        Value::Array(items) => items.iter().any(has_reserved_key),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Why a field was not set.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum SetError {
    /// The path has no key.
    #[error("no field is named")]
    NoField,
    /// The field holds an object.
    #[error("{0} holds an object")]
    OverObject(FieldPath),
    /// The field holds a list.
    #[error("{0} holds a list")]
    OverList(FieldPath),
    /// This field, which is above the one to set, holds a value that is not an object.
    #[error("{0} holds a value, not an object")]
    ThroughScalar(FieldPath),
    /// The record would nest deeper than [`DEPTH_MAX`].
    #[error("{0} would nest more than {DEPTH_MAX} deep")]
    TooDeep(FieldPath),
    /// A key would be [`RESERVED_KEY`].
    #[error("{0} would use the key {RESERVED_KEY:?}")]
    Reserved(FieldPath),
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    fn path(text: &str) -> FieldPath {
        FieldPath::parse(text).unwrap()
    }

    #[test]
    fn get_follows_objects_only() {
        let host = record(json!({"a": {"b": 1, "c.d": [2]}, "e": "x"}));
        assert_eq!(host.get(&path("a.b")), Some(&json!(1)));
        assert_eq!(host.get(&path(r"a.c\.d")), Some(&json!([2])));
        assert_eq!(host.get(&path("a")), Some(&json!({"b": 1, "c.d": [2]})));
        for missing in ["a.x", "e.x", r"a.c\.d.0", "a.b.c"] {
            assert_eq!(host.get(&path(missing)), None, "{missing}");
        }
        assert_eq!(host.get(&FieldPath::from_keys(Vec::new())), None);
    }

    #[test]
    fn set_makes_the_objects_it_needs() {
        let mut host = Record::new();
        host.set(&path("mysql.replication.delay"), json!("0")).unwrap();
        host.set(&path("mysql.role"), json!(null)).unwrap();
        host.set(&path("mysql.role"), json!(["a"])).unwrap();
        assert_eq!(host, record(json!({"mysql": {"replication": {"delay": "0"}, "role": ["a"]}})));
    }

    #[test]
    fn set_never_drops_more_than_one_plain_value() {
        let before = record(json!({"o": {"x": 1}, "empty": {}, "l": [1], "s": "text", "n": null}));
        for (field, wanted) in [
            ("o", SetError::OverObject(path("o"))),
            ("empty", SetError::OverObject(path("empty"))),
            ("l", SetError::OverList(path("l"))),
            ("s.a.b", SetError::ThroughScalar(path("s"))),
            ("o.x.b", SetError::ThroughScalar(path("o.x"))),
            ("l.0", SetError::ThroughScalar(path("l"))),
            ("n.a", SetError::ThroughScalar(path("n"))),
        ] {
            let mut host = before.clone();
            assert_eq!(host.set(&path(field), json!(1)), Err(wanted), "{field}");
            assert_eq!(host, before, "{field}");
        }
        let nowhere = FieldPath::from_keys(Vec::new());
        assert_eq!(Record::new().set(&nowhere, json!(1)), Err(SetError::NoField));
    }

    #[test]
    fn set_bounds_the_depth_and_refuses_the_reserved_key() {
        let deepest = FieldPath::from_keys(vec!["a".to_owned(); DEPTH_MAX]);
        let mut host = Record::new();
        assert_eq!(host.set(&deepest, json!({})), Err(SetError::TooDeep(deepest.clone())));
        assert!(host.is_empty());
        host.set(&deepest, json!(1)).unwrap();
        assert_eq!(height(&Value::Object(host.into_map())), DEPTH_MAX);

        let reserved = FieldPath::from_keys(vec!["a".to_owned(), RESERVED_KEY.to_owned()]);
        let refusal = Record::new().set(&reserved, json!(1));
        assert_eq!(refusal, Err(SetError::Reserved(reserved)));
        let refusal = Record::new().set(&path("a"), json!([{RESERVED_KEY: "1"}]));
        assert_eq!(refusal, Err(SetError::Reserved(path("a"))));
    }

    #[test]
    fn a_change_of_a_clone_stays_with_the_clone() {
        let host = record(json!({"a": {"b": 1}}));
        let (mut set, mut unset) = (host.clone(), host.clone());
        set.set(&path("a.b"), json!(2)).unwrap();
        assert!(unset.unset(&path("a.b")));
        assert_eq!(host, record(json!({"a": {"b": 1}})));
        assert_eq!(set, record(json!({"a": {"b": 2}})));
        assert_eq!(unset, record(json!({"a": {}})));
        assert_eq!(host.clone().into_map(), *host.as_map());
    }

    #[test]
    fn unset_removes_the_named_field_alone() {
        let mut host = record(json!({"a": {"b": {"c": 1}}, "d": {"e": 1, "f": 2}, "g": {}}));
        assert!(host.unset(&path("a.b.c")));
        assert!(host.unset(&path("d.e")));
        for absent in ["a.b.c", "d.e", "d.f.x", "g.x", "z"] {
            assert!(!host.unset(&path(absent)), "{absent}");
        }
        assert_eq!(host, record(json!({"a": {"b": {}}, "d": {"f": 2}, "g": {}})));
    }

    #[test]
    fn leaves_are_everything_but_objects_with_content() {
        let host = record(json!({"a": {"b": 1, "c": {}}, "d.e": [{"f": 1}], "g": null}));
        let leaves: Vec<_> =
            host.leaves().into_iter().map(|(field, value)| (field.to_string(), value)).collect();
        let wanted: Vec<_> = [
            ("a.b", json!(1)),
            ("a.c", json!({})),
            (r"d\.e", json!([{"f": 1}])),
            ("g", json!(null)),
        ]
        .into();
        assert_eq!(leaves.len(), wanted.len());
        for ((field, value), (wanted_field, wanted_value)) in leaves.iter().zip(&wanted) {
            assert_eq!((field.as_str(), *value), (*wanted_field, wanted_value));
        }
    }
}
