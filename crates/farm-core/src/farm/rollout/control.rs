//! The orders of the operators to a group.
//!
//! **Invariant.** A field that this version does not know stays as it is.

use super::FORMAT;
use super::version::Version;
use crate::farm::fields::{Fields, shortened};
use crate::model::{Map, Record, Value};
use std::collections::BTreeMap;

/// How many members may be skipped at once.
const SKIPS_MAX: usize = 10_000;

/// The content of `control`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Control {
    /// Nobody begins a turn.
    pub is_paused: bool,
    /// Each member restarts its child once for each number up to this one.
    pub restart: u64,
    /// Raised to have holders of a failed turn try again what is not a content's fault.
    pub retry: u64,
    /// Members that leave out a version.
    pub skip: BTreeMap<String, Version>,
    /// Until when turns are allowed at any hour, in milliseconds since 1970.
    pub ignore_hours_until_ms: Option<i64>,
    /// The last writer.
    pub by: Option<String>,
    /// When, in milliseconds since 1970, by the clock of the writer.
    pub at_ms: Option<i64>,
    /// Why.
    pub why: Option<String>,
}

impl Control {
    /// Reads the valid fields of a record, which may come from any client.
    #[must_use]
    pub fn of(record: &Record) -> Self {
        let fields = Fields(record.as_map());
        let skips = record.as_map().get("skip").and_then(Value::as_object);
        let skip =
            |(id, version): (&String, &Value)| Some((id.clone(), version.as_str()?.parse().ok()?));
        Self {
            is_paused: fields.is_set("paused"),
            restart: fields.number("restart").unwrap_or_default(),
            retry: fields.number("retry").unwrap_or_default(),
            skip: skips.into_iter().flatten().take(SKIPS_MAX).filter_map(skip).collect(),
            ignore_hours_until_ms: fields.time("ignore_hours_until"),
            by: fields.text("by"),
            at_ms: fields.time("at"),
            why: fields.text("why"),
        }
    }

    /// Writes the fields into the record, and leaves the others.
    pub fn write_to(&self, record: &mut Record) {
        let skip = self.skip.iter().map(|(id, version)| (id.clone(), version.to_string().into()));
        let text = |text: &Option<String>| text.as_deref().map(|text| shortened(text).into());
        let fields: [(&str, Option<Value>); 9] = [
            ("v", Some(FORMAT.into())),
            ("paused", Some(self.is_paused.into())),
            ("restart", Some(self.restart.into())),
            ("retry", (self.retry > 0).then(|| self.retry.into())),
            ("skip", Some(Value::Object(skip.collect::<Map<_, _>>()))),
            ("ignore_hours_until", self.ignore_hours_until_ms.map(Value::from)),
            ("by", text(&self.by)),
            ("at", self.at_ms.map(Value::from)),
            ("why", text(&self.why)),
        ];
        let mut map = std::mem::take(record).into_map();
        for (name, value) in fields {
            match value {
                Some(value) => drop(map.insert(name.to_owned(), value)),
                None => drop(map.remove(name)),
            }
        }
        *record = Record::from_map(map);
    }
}
