//! The metadata of a znode, as text and as JSON.

use farm_core::model::{Map, Value};
use farm_core::session::Stat;

/// The names of the columns of [`columns`].
pub(super) const COLUMNS: [&str; 5] = ["kind", "version", "bytes", "children", "mtime"];

/// The part of the metadata that lists show; dashes when it is unknown.
pub(super) fn columns(stat: Option<&Stat>) -> [String; 5] {
    let Some(stat) = stat else { return [const { String::new() }; 5].map(|_| "-".to_owned()) };
    let kind = if stat.ephemeral_owner == 0 { "persistent" } else { "ephemeral" };
    [
        kind.to_owned(),
        stat.version.to_string(),
        stat.data_length.to_string(),
        stat.num_children.to_string(),
        utc(stat.mtime_ms),
    ]
}

/// The metadata that goes with a record in a list.
pub(super) fn short(stat: &Stat) -> Value {
    let fields = [
        ("version", Value::from(stat.version)),
        ("mzxid", Value::from(stat.mzxid)),
        ("mtime", Value::from(stat.mtime_ms)),
        ("ephemeral", Value::from(stat.ephemeral_owner != 0)),
    ];
    object(fields)
}

/// All metadata.
pub(super) fn full(stat: &Stat) -> Value {
    let mut all = match short(stat) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let more = [
        ("czxid", Value::from(stat.czxid)),
        ("ctime", Value::from(stat.ctime_ms)),
        ("ephemeral_owner", Value::from(format!("{:#x}", stat.ephemeral_owner))),
        ("data_length", Value::from(stat.data_length)),
        ("num_children", Value::from(stat.num_children)),
    ];
    all.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    Value::Object(all)
}

pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A server's time as a date; works for any value of the server's clock.
pub(super) fn utc(time_ms: i64) -> String {
    const DAY_SECONDS: i64 = 86_400;
    let seconds = time_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
    // In years that begin in March, a leap day is the last day of its year.
    const ERA_DAYS: i64 = 146_097;
    let from_march = days + 719_468;
    let (era, day) = (from_march.div_euclid(ERA_DAYS), from_march.rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STAT: Stat = Stat {
        czxid: 5,
        mzxid: 7,
        ctime_ms: 0,
        mtime_ms: 1_700_000_000_123,
        version: 3,
        ephemeral_owner: 0x1_0000_0001,
        data_length: 12,
        num_children: 0,
    };

    #[test]
    fn times_are_dates() {
        for (time_ms, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_399_999, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(time_ms), date);
        }
        // A server's clock may have any value.
        for time_ms in [i64::MIN, i64::MAX] {
            assert!(utc(time_ms).ends_with('Z'));
        }
    }

    #[test]
    fn the_owner_makes_a_znode_ephemeral() {
        assert_eq!(columns(Some(&STAT)), ["ephemeral", "3", "12", "0", "2023-11-14T22:13:20Z"]);
        assert_eq!(columns(Some(&Stat { ephemeral_owner: 0, ..STAT }))[0], "persistent");
        assert_eq!(columns(None), ["-", "-", "-", "-", "-"]);
        let expected =
            json!({"version": 3, "mzxid": 7, "mtime": 1_700_000_000_123_i64, "ephemeral": true});
        assert_eq!(short(&STAT), expected);
        assert_eq!(full(&STAT)["ephemeral_owner"], json!("0x100000001"));
    }
}
