//! Groups for the tests.

use super::look::{Look, Member};
use crate::commands::lock_queue::{ContenderZnode, Place};
use farm_core::farm::permit::{Contender, ContenderInfo};
use farm_core::farm::rollout::{Control, MemberRecord, Version, VersionRecord};
use farm_core::model::{Record, Value};
use farm_core::session::Stat;
use serde_json::json;

pub(super) const OLD: &str = "0123456789ab";
pub(super) const NEW: &str = "fedcba987654";

pub(super) fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// A member with this record; its session has the number `owner`.
pub(super) fn member(id: &str, owner: i64, wanted: &str, record: &Value) -> Member {
    let record = MemberRecord::read(record.to_string().as_bytes());
    Member { id: id.to_owned(), owner, record, wanted: wanted.parse().ok() }
}

/// A member in this state that was known to work on one version last, and runs on another.
pub(super) fn in_state(id: &str, state: &str, confirmed: &str, running: &str) -> Member {
    let record = json!({
        "state": state, "wanted": NEW, "running": running, "confirmed": confirmed,
        "since": 1_700_000_000_000_i64, "restarted": 4,
    });
    member(id, 0, NEW, &record)
}

pub(super) fn control(value: &Value) -> Control {
    Control::of(&Record::from_map(value.as_object().unwrap().clone()))
}

pub(super) fn look(members: Vec<Member>, control: Control) -> Look {
    Look { group: "app".to_owned(), members, control, ..Look::default() }
}

/// A version of which this is known.
pub(super) fn known(version_name: &str, record: &Value) -> (Version, VersionRecord) {
    let record = VersionRecord::read(record.to_string().as_bytes()).unwrap();
    (version(version_name), record)
}

/// The contenders for the lock, by name, session and data.
pub(super) fn queue(contenders: &[(&str, i64, &str)]) -> Vec<Place> {
    let contender = |(name, ephemeral_owner, data): &(&str, i64, &str)| {
        let stat = Stat {
            ephemeral_owner: *ephemeral_owner,
            ctime_ms: 1_700_000_000_123,
            ..Stat::default()
        };
        let znode = ContenderZnode { info: ContenderInfo::read(data.as_bytes()), stat };
        (Contender::parse(name).unwrap(), znode)
    };
    Place::in_order(contenders.iter().map(contender).collect())
}

/// A group in which a turn has failed.
pub(super) fn failed_group() -> Look {
    let since = 1_700_000_000_000_i64;
    let members = vec![
        member(
            "web-1",
            1,
            NEW,
            &json!({
                "host": "web-1", "pid": 4711, "state": "running", "since": since, "n": 2,
                "wanted": NEW, "running": NEW, "confirmed": NEW, "restarted": 4, "health": "ok",
            }),
        ),
        member(
            "web-2",
            2,
            NEW,
            &json!({
                "host": "web-2", "pid": 17, "state": "failed", "since": since + 60_000, "n": 2,
                "wanted": NEW, "running": NEW, "confirmed": OLD, "restarted": 3,
                "health": "failing", "reason": "the child ended with 3", "waits_for": "content",
            }),
        ),
        member(
            "web-3",
            3,
            NEW,
            &json!({
                "host": "web-3", "state": "waiting", "since": since, "wanted": NEW,
                "running": OLD, "confirmed": OLD, "restarted": 3, "health": "ok",
                "waits_for": "lock",
            }),
        ),
        member("we\tird\u{1b}[2J", 4, "", &json!({"state": "dancing", "reason": "a\nb\u{202e}"})),
    ];
    let control = json!({
        "paused": true, "restart": 4, "skip": {"web-9": OLD}, "by": "ann@ops",
        "at": since, "why": "looking\tat it", "ignore_hours_until": since + 3_600_000,
    });
    let refused = json!({
        "verdict": "refused", "by": "web-2", "at": since + 60_000, "tries": 1,
        "reason": "the child ended with 3", "trials": [{"id": "web-2", "token": "t"}],
    });
    Look {
        versions: [known(NEW, &refused)].into(),
        queue: queue(&[
            ("ex0000000009", 99, ""),
            ("ex0000000010", 2, r#"{"host":"web-2","n":2}"#),
            ("ex0000000011", 3, r#"{"host":"web-3","n":2}"#),
        ]),
        ..look(members, self::control(&control))
    }
}
