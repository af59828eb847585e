//! What a file said a moment ago.
//!
//! Who edits a file as a whole reads it, changes one field and writes all of
//! them. If we wrote another field in between, their save says that field's old
//! value: not because anybody wants it back, but because they never saw the new
//! one. **Invariant.** Such a value is told apart from an edit only when there is
//! an edit beside it; a save that does nothing but bring old values back means it.

use crate::model::{FieldPath, Record, Value};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// An edit that follows our own write so closely may not have seen it.
const SPAN: Duration = Duration::from_secs(1);
/// More versions than we can write in [`SPAN`] and be overtaken each time.
const VERSIONS_MAX: usize = 64;

/// The versions that our own writes replaced, oldest first.
#[derive(Debug)]
pub(super) struct RecentVersions {
    span: Duration,
    past: Vec<(Instant, Record)>,
}

impl Default for RecentVersions {
    fn default() -> Self {
        Self::lasting(SPAN)
    }
}

impl RecentVersions {
    /// A moment of another length, for tests on machines that may halt for longer.
    pub(super) const fn lasting(span: Duration) -> Self {
        Self { span, past: Vec::new() }
    }

    /// Our write has just replaced `version`.
    pub(super) fn replaced(&mut self, now: Instant, version: Record) {
        self.past.retain(|(at, _)| now.duration_since(*at) < self.span);
        if self.past.len() == VERSIONS_MAX {
            self.past.remove(0);
        }
        self.past.push((now, version));
    }

    /// The versions that an editor may have had before it, the newest apart.
    pub(super) fn versions(&self, now: Instant) -> Vec<Record> {
        let young = self.past.iter().filter(|(at, _)| now.duration_since(*at) < self.span);
        young.map(|(_, version)| version.clone()).collect()
    }
}

/// What a save means: `saved`, with the fields that its writer had from one of the
/// `past` versions brought up to `newest`, if the writer changed another field.
pub(super) fn without_stale_fields(saved: Record, newest: &Record, past: &[Record]) -> Record {
    if past.is_empty() || saved == *newest {
        return saved;
    }
    let bases = past.iter().rev().filter_map(|version| based_on(version, &saved, newest));
    let Some(Base { old, .. }) = bases.min_by_key(|base| base.edits) else { return saved };
    let mut record = saved.clone();
    for field in old {
        if bring(&mut record, &field, newest.get(&field)).is_none() {
            return saved;
        }
    }
    record
}

/// What a save is, if its writer started from a certain version.
struct Base {
    /// The fields that it has from there.
    old: Vec<FieldPath>,
    /// How many others its writer changed.
    edits: usize,
}

/// `None` if the writer can't have started there: the save knows something newer,
/// or holds nothing that is older, or nothing but that.
fn based_on(version: &Record, saved: &Record, newest: &Record) -> Option<Base> {
    let mut base = Base { old: Vec::new(), edits: 0 };
    let leaves = [version, saved, newest].into_iter().flat_map(Record::leaves);
    let fields: BTreeSet<FieldPath> = leaves.map(|(field, _)| field).collect();
    for field in fields {
        let (before, is, now) = (version.get(&field), saved.get(&field), newest.get(&field));
        if is == now {
            if before != now {
                return None;
            }
        } else if is == before {
            base.old.push(field);
        } else {
            base.edits += 1;
        }
    }
    (base.edits > 0 && !base.old.is_empty()).then_some(base)
}

/// Gives a field its newest value; `None` if the shapes around it differ too much.
fn bring(record: &mut Record, field: &FieldPath, newest: Option<&Value>) -> Option<()> {
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
        // past, newest, saved, meant
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
            // Nothing but old values: somebody wants them back.
            (
                json!({"a": 0, "b": 0}),
                json!({"a": 1, "b": 0}),
                json!({"a": 0, "b": 0}),
                json!({"a": 0, "b": 0}),
            ),
            // Whoever has one thing that we wrote has seen the rest of it too.
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
        for (past, newest, saved, meant) in cases {
            let got = without_stale_fields(record(&saved), &record(&newest), &[record(&past)]);
            assert_eq!(got, record(&meant), "{past} -> {newest}, saved {saved}");
        }
    }

    #[test]
    fn versions_are_forgotten_after_a_moment() {
        let start = Instant::now();
        let mut moment = RecentVersions::default();
        moment.replaced(start, record(&json!({"a": 0})));
        moment.replaced(start + SPAN / 2, record(&json!({"a": 1})));
        assert_eq!(moment.versions(start + SPAN / 2).len(), 2);
        assert_eq!(moment.versions(start + SPAN), [record(&json!({"a": 1}))]);
        for n in 0..1000 {
            moment.replaced(start + SPAN, record(&json!({"a": n})));
        }
        assert_eq!(moment.past.len(), VERSIONS_MAX);
    }
}
