//! Saves that did not see our last write.
//!
//! An editor reads the whole file, changes one field and writes all fields. If we wrote
//! another field in between, the save has the old value of that field, although nobody
//! wants it back. **Invariant.** Such a value is replaced by the newest one only if the
//! save also contains an edit; a save that only brings old values back is taken as it
//! is.

use crate::model::{FieldPath, PackedRecord, Record, Value};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// An edit that follows our write within this time may not have seen it.
const SPAN: Duration = Duration::from_secs(1);
/// More versions than we can write within [`SPAN`].
const VERSIONS_MAX: usize = 64;
/// How much memory they may take, the latest one not counted.
const BYTES_MAX: usize = 4 << 20;

/// The versions that our writes replaced, oldest first.
#[derive(Debug)]
pub(super) struct RecentVersions {
    span: Duration,
    past: Vec<(Instant, PackedRecord)>,
}

impl Default for RecentVersions {
    fn default() -> Self {
        Self::lasting(SPAN)
    }
}

impl RecentVersions {
    /// Uses another time than [`SPAN`]: tests may run on machines that stall for longer.
    pub(super) const fn lasting(span: Duration) -> Self {
        Self { span, past: Vec::new() }
    }

    /// Notes that our write has replaced `version`.
    pub(super) fn replaced(&mut self, now: Instant, version: Record) {
        self.past.retain(|(at, _)| now.duration_since(*at) < self.span);
        let bytes =
            |past: &[(_, PackedRecord)]| past.iter().map(|(_, one)| one.bytes()).sum::<usize>();
        while self.past.len() >= VERSIONS_MAX || bytes(&self.past) > BYTES_MAX {
            self.past.remove(0);
        }
        self.past.push((now, version.into()));
    }

    /// The versions that an editor may have read, except the newest one.
    pub(super) fn versions(&self, now: Instant) -> Vec<PackedRecord> {
        let recent = self.past.iter().filter(|(at, _)| now.duration_since(*at) < self.span);
        recent.map(|(_, version)| version.clone()).collect()
    }
}

/// What a save means: if it is an edit of one of the `past` versions, the fields that the
/// editor did not change are brought up to `newest`.
pub(super) fn without_stale_fields(
    saved: Record,
    newest: &Record,
    past: &[PackedRecord],
) -> Record {
    if past.is_empty() || saved == *newest {
        return saved;
    }
    let base = |version: &PackedRecord| based_on(&version.unpack(), &saved, newest);
    let bases = past.iter().rev().filter_map(base);
    let Some(Base { stale, .. }) = bases.min_by_key(|base| base.edits) else { return saved };
    let mut record = saved.clone();
    for field in stale {
        if update(&mut record, &field, newest.get(&field)).is_none() {
            return saved;
        }
    }
    record
}

/// A save, seen as an edit of a certain version.
struct Base {
    /// The fields with old values of this version.
    stale: Vec<FieldPath>,
    /// How many other fields were changed.
    edits: usize,
}

/// `None` if the save is not an edit of this version: it has a newer value, no old
/// value, or only old values.
fn based_on(version: &Record, saved: &Record, newest: &Record) -> Option<Base> {
    let mut base = Base { stale: Vec::new(), edits: 0 };
    let leaves = [version, saved, newest].into_iter().flat_map(Record::leaves);
    let fields: BTreeSet<FieldPath> = leaves.map(|(field, _)| field).collect();
    for field in fields {
        let (before, is, now) = (version.get(&field), saved.get(&field), newest.get(&field));
        if is == now {
            if before != now {
                return None;
            }
        } else if is == before {
            base.stale.push(field);
        } else {
            base.edits += 1;
        }
    }
    (base.edits > 0 && !base.stale.is_empty()).then_some(base)
}

/// Sets a field to its newest value; `None` if the objects above it have changed.
fn update(record: &mut Record, field: &FieldPath, newest: Option<&Value>) -> Option<()> {
    if let Some(value) = newest {
        return record.set(field, value.clone()).ok();
    }
    record.unset(field);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(value: &Value) -> Record {
        Record::from_map(value.as_object().unwrap().clone())
    }

    #[test]
    fn a_save_beside_our_write_keeps_what_we_wrote() {
        // past, newest, saved, wanted
        let cases = [
            (
                json!({"a": 0, "b": 0}),
                json!({"a": 1, "b": 0}),
                json!({"a": 0, "b": 5}),
                json!({"a": 1, "b": 5}),
            ),
            (json!({"b": 0}), json!({"a": 1, "b": 0}), json!({"b": 5}), json!({"a": 1, "b": 5})),
            (json!({"a": 0, "b": 0}), json!({"b": 0}), json!({"a": 0, "b": 5}), json!({"b": 5})),
            (
                json!({"o": {"x": 0}, "b": 0}),
                json!({"o": {"x": 1}, "b": 0}),
                json!({"o": {"x": 0}}),
                json!({"o": {"x": 1}}),
            ),
            // Only old values: the user wants them back.
            (
                json!({"a": 0, "b": 0}),
                json!({"a": 1, "b": 0}),
                json!({"a": 0, "b": 0}),
                json!({"a": 0, "b": 0}),
            ),
            // A save with one of our new values has seen the others too.
            (
                json!({"x": 1}),
                json!({"x": 1, "n": {"a": 1, "b": 1}}),
                json!({"x": 1, "n": {"c": 1, "b": 1}}),
                json!({"x": 1, "n": {"c": 1, "b": 1}}),
            ),
            // Another value of the field that we wrote is an edit of it.
            (json!({"a": 0}), json!({"a": 1}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 0}), json!({"a": 1}), json!({"a": 1}), json!({"a": 1})),
        ];
        for (past, newest, saved, wanted) in cases {
            let got =
                without_stale_fields(record(&saved), &record(&newest), &[record(&past).into()]);
            assert_eq!(got, record(&wanted), "{past} -> {newest}, saved {saved}");
        }
    }

    #[test]
    fn versions_are_forgotten_after_a_second() {
        let start = Instant::now();
        let mut recent = RecentVersions::default();
        recent.replaced(start, record(&json!({"a": 0})));
        recent.replaced(start + SPAN / 2, record(&json!({"a": 1})));
        assert_eq!(recent.versions(start + SPAN / 2).len(), 2);
        assert_eq!(recent.versions(start + SPAN), [record(&json!({"a": 1})).into()]);
        for n in 0..1000 {
            recent.replaced(start + SPAN, record(&json!({"a": n})));
        }
        assert_eq!(recent.past.len(), VERSIONS_MAX);
    }
}
