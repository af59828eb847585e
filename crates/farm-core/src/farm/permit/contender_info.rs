//! The content of a contender's znode.

use crate::codec::json::{decode_znode, encode_znode};
use crate::farm::fields::{Fields, record, shortened};
use crate::model::Value;
use std::num::NonZeroU32;

/// Who asks for a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberId {
    /// The name of the host.
    pub host: String,
    /// The process on it.
    pub pid: u32,
}

/// The content of a contender's znode. A member written in Ruby leaves it empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContenderInfo {
    /// The host of the member.
    pub host: Option<String>,
    /// The pid of the member on that host.
    pub pid: Option<u64>,
    /// Since when it is in the queue, in milliseconds since 1970, by the host's clock.
    pub since_ms: Option<i64>,
    /// Why it wants the permit.
    pub why: Option<String>,
    /// How many members at once it lets hold a permit.
    pub holders: Option<NonZeroU32>,
}

impl ContenderInfo {
    pub(super) fn of(member: &MemberId, why: &str, holders: NonZeroU32) -> Self {
        Self {
            host: Some(shortened(&member.host)),
            pid: Some(member.pid.into()),
            since_ms: None,
            why: Some(shortened(why)),
            holders: Some(holders),
        }
    }

    /// Reads the valid fields of the bytes, which may come from any client.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(found) = decode_znode(bytes) else { return Self::default() };
        let fields = Fields(found.as_map());
        Self {
            host: fields.text("host"),
            pid: fields.number("pid"),
            since_ms: fields.time("since"),
            why: fields.text("why"),
            holders: fields.number("n").and_then(NonZeroU32::new),
        }
    }

    /// The bytes of the znode.
    pub(super) fn bytes(&self) -> Vec<u8> {
        encode_znode(&record([
            ("host", self.host.clone().map(Value::from)),
            ("n", self.holders.map(|holders| Value::from(holders.get()))),
            ("pid", self.pid.map(Value::from)),
            ("since", self.since_ms.map(Value::from)),
            ("why", self.why.clone().map(Value::from)),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::farm::fields::TEXT_CHARS_MAX;

    fn info() -> ContenderInfo {
        let member = MemberId { host: "db-01".to_owned(), pid: 4711 };
        let info = ContenderInfo::of(&member, "config changed", NonZeroU32::new(2).unwrap());
        ContenderInfo { since_ms: Some(1_700_000_000_123), ..info }
    }

    #[test]
    fn the_info_is_json_and_reads_back() {
        let json =
            r#"{"host":"db-01","n":2,"pid":4711,"since":1700000000123,"why":"config changed"}"#;
        assert_eq!(String::from_utf8(info().bytes()).unwrap(), json);
        assert_eq!(ContenderInfo::read(json.as_bytes()), info());
    }

    #[test]
    fn invalid_fields_are_left_out() {
        let deep = "[".repeat(100_000);
        for bytes in ["", "nonsense", "[1]", "7", "{\"host\":", &deep, "\u{0}\u{1b}[2J"] {
            assert_eq!(ContenderInfo::read(bytes.as_bytes()), ContenderInfo::default());
        }
        assert_eq!(ContenderInfo::read(b"\xff\xfe"), ContenderInfo::default());
        let odd = br#"{"host":7,"pid":-1,"since":"now","why":["x"],"n":0,"more":1}"#;
        assert_eq!(ContenderInfo::read(odd), ContenderInfo::default());
        for n in ["4294967296", "1.5", "-1", "1e99", "null"] {
            assert_eq!(ContenderInfo::read(format!("{{\"n\":{n}}}").as_bytes()).holders, None);
        }
    }

    #[test]
    fn long_texts_are_cut_when_they_are_written_and_when_they_are_read() {
        let long = "ü".repeat(300_000);
        let member = MemberId { host: long.clone(), pid: 1 };
        assert!(ContenderInfo::of(&member, &long, NonZeroU32::MIN).bytes().len() < 1000);
        let info = ContenderInfo::read(format!("{{\"why\":\"{long}\"}}").as_bytes());
        assert_eq!(info.why, Some("ü".repeat(TEXT_CHARS_MAX)));
    }
}
