//! Parts of the answers that several commands have in common.

use crate::commands::znode_stat::{object, utc};
use farm_core::farm::rollout::{Control, MemberState, VersionRecord};
use farm_core::model::{Map, Value};

/// The states of members, the one that needs an operator most first.
const BY_NEED: [MemberState; 13] = [
    MemberState::Failed,
    MemberState::Refused,
    MemberState::Paused,
    MemberState::Skipped,
    MemberState::Blocked,
    MemberState::OffHours,
    MemberState::Waiting,
    MemberState::Stopping,
    MemberState::Starting,
    MemberState::Restarting,
    MemberState::Unconfirmed,
    MemberState::Soaking,
    MemberState::Running,
];

/// The word for the state of a member.
pub(super) fn state_name(state: Option<MemberState>) -> &'static str {
    state.map_or("unknown", MemberState::name)
}

/// How much a member needs an operator; the least number is the most.
pub(super) fn need(state: Option<MemberState>) -> usize {
    // An unknown state may be anything.
    state.and_then(|state| BY_NEED.iter().position(|other| *other == state)).unwrap_or_default()
}

/// What operators want, in the order of its weight; empty if it is nothing.
pub(super) fn orders(control: &Control, now_ms: i64) -> Vec<String> {
    let mut orders = Vec::new();
    orders.extend(control.is_paused.then(|| "paused".to_owned()));
    orders.extend((control.restart > 0).then(|| format!("restart {}", control.restart)));
    orders.extend(control.skip.iter().map(|(id, version)| format!("{id} skips {version}")));
    let until = control.ignore_hours_until_ms.filter(|until| *until > now_ms);
    orders.extend(until.map(|until| format!("any hour until {}", utc(until))));
    orders
}

/// The writer of a change, its time and its reason; empty if none of them is known.
pub(super) fn origin(by: Option<&str>, at_ms: Option<i64>, why: Option<&str>) -> String {
    let by = by.map(|by| format!("by {by}"));
    let words: Vec<String> = by.into_iter().chain(at_ms.map(utc)).collect();
    let words = words.join(" ");
    match why {
        Some(why) if words.is_empty() => why.to_owned(),
        Some(why) => format!("{words}: {why}"),
        None => words,
    }
}

pub(super) fn control_object(control: &Control) -> Value {
    let skip = control.skip.iter().map(|(id, version)| (id.clone(), version.to_string().into()));
    object([
        ("paused", Value::from(control.is_paused)),
        ("restart", Value::from(control.restart)),
        ("retry", Value::from(control.retry)),
        ("skip", Value::Object(skip.collect::<Map<_, _>>())),
        ("ignore_hours_until", Value::from(control.ignore_hours_until_ms)),
        ("by", Value::from(control.by.clone())),
        ("at", Value::from(control.at_ms)),
        ("why", Value::from(control.why.clone())),
    ])
}

/// The fields of what is known of a version; all null if nothing is.
pub(super) fn verdict_fields(record: Option<&VersionRecord>) -> [(&'static str, Value); 7] {
    let text = |text: fn(&VersionRecord) -> Option<String>| Value::from(record.and_then(text));
    let triers = |record: &VersionRecord| record.triers().map(Value::from).collect();
    [
        ("verdict", Value::from(record.map(|record| record.verdict.name()))),
        ("by", text(|record| record.by.clone())),
        ("at", Value::from(record.and_then(|record| record.at_ms))),
        ("reason", text(|record| record.reason.clone())),
        ("tries", Value::from(record.map(|record| record.tries))),
        ("tried_by", Value::Array(record.map_or_else(Vec::new, triers))),
        ("round", Value::from(record.map(|record| record.round))),
    ]
}
