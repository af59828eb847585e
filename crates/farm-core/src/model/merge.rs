//! The three-way merge of records.
//!
//! **Invariant.** A field that only one side changed ends as that side left it.

use serde_json::{Map, Value};

use super::field::FieldPath;
use super::record::Record;

/// The outcome of [`merge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The new record of both sides.
    pub record: Record,
    /// The fields that both sides changed to different values.
    pub conflicts: Vec<Conflict>,
}

/// A field that both sides changed. The remote value wins, the local one is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Which field.
    pub field: FieldPath,
    /// The local value; `None` if the field was deleted there.
    pub local: Option<Value>,
    /// The remote value; `None` if the field was deleted there.
    pub remote: Option<Value>,
}

/// Merges field by field; `base` is what both sides last agreed on.
///
/// Objects are merged field by field, also if the base has no object there or one
/// side has deleted the whole object. A list is one value.
#[must_use]
pub fn merge(base: &Record, local: &Record, remote: &Record) -> Merge {
    let mut merging = Merging { above: Vec::new(), conflicts: Vec::new() };
    let map = merging.objects(base.as_map(), local.as_map(), remote.as_map());
    Merge { record: Record::from_map(map), conflicts: merging.conflicts }
}

/// The base for the next merge: the value of both sides where they are equal, else
/// the value of `base`.
#[must_use]
pub fn merge_base(base: &Record, local: &Record, remote: &Record) -> Record {
    Record::from_map(ground_of(base.as_map(), local.as_map(), remote.as_map()))
}

fn ground_of(
    base: &Map<String, Value>,
    local: &Map<String, Value>,
    remote: &Map<String, Value>,
) -> Map<String, Value> {
    let none = Map::new();
    let mut ground = Map::new();
    let only_local = local.keys().filter(|key| !remote.contains_key(*key));
    for key in remote.keys().chain(only_local) {
        let before = base.get(key);
        let value = match (local.get(key), remote.get(key)) {
            (ours, theirs) if ours == theirs => ours.cloned(),
            (Some(Value::Object(ours)), Some(Value::Object(theirs))) => {
                let before = before.and_then(Value::as_object).unwrap_or(&none);
                Some(Value::Object(ground_of(before, ours, theirs)))
            }
            _ => before.cloned(),
        };
        if let Some(value) = value {
            ground.insert(key.clone(), value);
        }
    }
    ground
}

struct Merging {
    above: Vec<String>,
    conflicts: Vec<Conflict>,
}

impl Merging {
    fn objects(
        &mut self,
        base: &Map<String, Value>,
        local: &Map<String, Value>,
        remote: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut merged = Map::new();
        let only_local = local.keys().filter(|key| !remote.contains_key(*key));
        // Keys that only the base has were deleted by both sides.
        for key in remote.keys().chain(only_local) {
            self.above.push(key.clone());
            let value = self.values(base.get(key), local.get(key), remote.get(key));
            self.above.pop();
            if let Some(value) = value {
                merged.insert(key.clone(), value);
            }
        }
        merged
    }

    fn values(
        &mut self,
        base: Option<&Value>,
        local: Option<&Value>,
        remote: Option<&Value>,
    ) -> Option<Value> {
        if local == remote || base == local {
            return remote.cloned();
        }
        if base == remote {
            return local.cloned();
        }
        let none = Map::new();
        let before = base.and_then(Value::as_object);
        match (before, local, remote) {
            (_, Some(Value::Object(local)), Some(Value::Object(remote))) => {
                let merged = self.objects(before.unwrap_or(&none), local, remote);
                Some(Value::Object(merged))
            }
            (Some(before), Some(Value::Object(local)), None) => {
                unless_empty(self.objects(before, local, &none))
            }
            (Some(before), None, Some(Value::Object(remote))) => {
                unless_empty(self.objects(before, &none, remote))
            }
            _ => {
                self.conflicts.push(Conflict {
                    field: FieldPath::from_keys(self.above.clone()),
                    local: local.cloned(),
                    remote: remote.cloned(),
                });
                remote.cloned()
            }
        }
    }
}

/// One side deleted the object: it stays only if it has fields left.
fn unless_empty(map: Map<String, Value>) -> Option<Value> {
    (!map.is_empty()).then_some(Value::Object(map))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: &Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    #[test]
    fn common_ground_is_what_both_hold_and_else_what_was_agreed() {
        let base =
            record(&json!({"same": 1, "local": 1, "remote": 1, "gone": 1, "o": {"x": 1, "y": 1}}));
        let local =
            record(&json!({"same": 2, "local": 2, "remote": 1, "o": {"x": 5, "y": 2}, "new": 1}));
        let remote = record(&json!({"same": 2, "local": 1, "remote": 2, "o": {"x": 5, "y": 1}}));
        let ground = merge_base(&base, &local, &remote);
        let wanted = json!({"same": 2, "local": 1, "remote": 1, "o": {"x": 5, "y": 1}});
        assert_eq!(ground, record(&wanted));
        // Agreeing on more never changes what the merge makes of the two sides.
        let before = merge(&base, &local, &remote).record;
        assert_eq!(merge(&ground, &local, &remote).record, before);
    }

    /// base, local, remote, merged, fields in conflict
    fn table() -> Vec<(Value, Value, Value, Value, &'static [&'static str])> {
        vec![
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 1}), json!({"a": 2}), &[]),
            (json!({"a": 1}), json!({"a": 1}), json!({"a": 2}), json!({"a": 2}), &[]),
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 2}), json!({"a": 2}), &[]),
            (json!({"a": 1}), json!({"a": 2}), json!({"a": 3}), json!({"a": 3}), &["a"]),
            (json!({}), json!({"a": 2}), json!({"b": 3}), json!({"a": 2, "b": 3}), &[]),
            (json!({}), json!({"a": 2}), json!({"a": 3}), json!({"a": 3}), &["a"]),
            (json!({"a": 1, "b": 1}), json!({"b": 1}), json!({"a": 1}), json!({}), &[]),
            (json!({"a": 1}), json!({}), json!({"a": 1}), json!({}), &[]),
            (json!({"a": 1}), json!({}), json!({"a": 2}), json!({"a": 2}), &["a"]),
            (json!({"a": 1}), json!({"a": 2}), json!({}), json!({}), &["a"]),
            (json!({"a": 1}), json!({"a": "1"}), json!({"a": 1}), json!({"a": "1"}), &[]),
            (json!({"a": null}), json!({}), json!({"a": null}), json!({}), &[]),
            (json!({"a": [1]}), json!({"a": [1, 2]}), json!({"a": [0]}), json!({"a": [0]}), &["a"]),
            (
                json!({"o": {"x": 1, "y": 1}}),
                json!({"o": {"x": 2, "y": 1}}),
                json!({"o": {"x": 1, "y": 2}}),
                json!({"o": {"x": 2, "y": 2}}),
                &[],
            ),
            (
                json!({}),
                json!({"o": {"x": 1, "z": 1}}),
                json!({"o": {"y": 1, "z": 2}}),
                json!({"o": {"x": 1, "y": 1, "z": 2}}),
                &["o.z"],
            ),
            (
                json!({"o": 1}),
                json!({"o": {"x": 1}}),
                json!({"o": {"y": 1}}),
                json!({"o": {"x": 1, "y": 1}}),
                &[],
            ),
            (
                json!({"o": {"x": 1}}),
                json!({}),
                json!({"o": {"x": 1, "y": 2}}),
                json!({"o": {"y": 2}}),
                &[],
            ),
            (
                json!({"o": {"x": 1}}),
                json!({"o": {"x": 1, "y": 2}}),
                json!({}),
                json!({"o": {"y": 2}}),
                &[],
            ),
            (json!({"o": {"x": 1}}), json!({"o": {"x": 2}}), json!({}), json!({}), &["o.x"]),
            (
                json!({"o": {"x": 1}}),
                json!({"o": "t"}),
                json!({"o": {"x": 2}}),
                json!({"o": {"x": 2}}),
                &["o"],
            ),
            (
                json!({"o": {"x": 1}}),
                json!({"o": {}}),
                json!({"o": {"x": 1, "y": 2}}),
                json!({"o": {"y": 2}}),
                &[],
            ),
        ]
    }

    #[test]
    fn each_field_follows_the_side_that_changed_it() {
        for (base, local, remote, wanted, fields) in table() {
            let merged = merge(&record(&base), &record(&local), &record(&remote));
            let case = format!("{base} {local} {remote}");
            assert_eq!(merged.record, record(&wanted), "{case}");
            let named: Vec<_> = merged.conflicts.iter().map(|c| c.field.to_string()).collect();
            assert_eq!(named, fields, "{case}");
        }
    }

    #[test]
    fn a_conflict_tells_both_values() {
        let merged = merge(
            &record(&json!({"o": {"x": 1}, "y": 1})),
            &record(&json!({"o": {"x": [2]}, "y": 2})),
            &record(&json!({"o": {"x": "3"}})),
        );
        let conflict = |field: &str, local, remote| Conflict {
            field: FieldPath::parse(field).unwrap(),
            local,
            remote,
        };
        assert_eq!(
            merged.conflicts,
            [
                conflict("o.x", Some(json!([2])), Some(json!("3"))),
                conflict("y", Some(json!(2)), None)
            ]
        );
    }
}
