//! Whose clocks count.
//!
//! **Invariant.** A zone that was asked for and is not known is an error, never
//! another zone: a restart at the wrong hour is what this is there to prevent.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

const LOCALTIME: &str = "/etc/localtime";
const UTC: &str = "UTC";

/// A time zone, as it was when it was read.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of that name, like `Europe/Berlin`. `UTC` needs no database.
    ///
    /// # Errors
    ///
    /// [`ZoneError::Unknown`]; [`ZoneError::NoDatabase`] on a machine that knows no zone.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        Self::named_in(jiff::tz::db(), name)
    }

    fn named_in(database: &TimeZoneDatabase, name: &str) -> Result<Self, ZoneError> {
        if name.eq_ignore_ascii_case(UTC) {
            return Ok(Self(TimeZone::UTC));
        }
        database.get(name).map(Self).map_err(|_| {
            let name = name.to_owned();
            if database.is_definitively_empty() {
                ZoneError::NoDatabase { name }
            } else {
                ZoneError::Unknown { name }
            }
        })
    }

    /// The zone of this system: the one of `TZ`, else that of `/etc/localtime`, else UTC.
    ///
    /// # Errors
    ///
    /// [`ZoneError::System`] when one of the two names a zone that can't be had.
    pub fn system() -> Result<Self, ZoneError> {
        let is_named_by_environment = std::env::var_os("TZ").is_some();
        match TimeZone::try_system() {
            Ok(zone) => Ok(Self(zone)),
            Err(_) if is_named_by_environment => Err(ZoneError::System { of: "TZ" }),
            Err(_) => Self::without(Path::new(LOCALTIME)),
        }
    }

    /// A system that does not say, or says UTC and has no database.
    fn without(localtime: &Path) -> Result<Self, ZoneError> {
        match fs::read_link(localtime) {
            Ok(target) if target.file_name() == Some(OsStr::new(UTC)) => Ok(Self(TimeZone::UTC)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(TimeZone::UTC)),
            Ok(_) | Err(_) => Err(ZoneError::System { of: LOCALTIME }),
        }
    }

    /// What the clocks show then.
    pub(super) fn local(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// When the clocks change next.
    pub(super) fn next_transition(&self, after: Timestamp) -> Option<Timestamp> {
        Some(self.0.following(after).next()?.timestamp())
    }
}

/// Why there is no such zone.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ZoneError {
    /// No zone has that name.
    #[error("there is no time zone {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// This machine knows no zones at all.
    #[error("this machine has no time zones, so there is no {name:?}")]
    NoDatabase {
        /// The zone that was asked for.
        name: String,
    },
    /// The system names a zone that can't be had.
    #[error("the time zone that {of} names can't be read")]
    System {
        /// Where it does.
        of: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use farm_harness::Scratch;
    use std::fmt;
    use std::os::unix::fs::symlink;

    impl fmt::Display for Zone {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0.iana_name().unwrap_or("local time"))
        }
    }

    #[test]
    fn zones_have_names_and_utc_is_always_there() {
        assert_eq!(Zone::named("Europe/Berlin").unwrap().to_string(), "Europe/Berlin");
        assert_eq!(Zone::named("utc").unwrap().to_string(), "UTC");
        let hostile =
            ["", "Europe/Atlantis", "../../etc/passwd", "/etc/passwd", "a\0b", "\u{1f600}"];
        for name in hostile {
            let error = Zone::named(name).unwrap_err();
            assert_eq!(error, ZoneError::Unknown { name: name.to_owned() });
        }
    }

    #[test]
    fn a_machine_without_zones_has_utc_and_says_so() {
        let nothing = TimeZoneDatabase::none();
        assert!(Zone::named_in(&nothing, "UTC").is_ok());
        let error = Zone::named_in(&nothing, "Europe/Berlin").unwrap_err();
        assert_eq!(error, ZoneError::NoDatabase { name: "Europe/Berlin".to_owned() });
    }

    #[test]
    fn a_system_that_says_nothing_is_in_utc_and_one_that_lies_is_in_no_zone() {
        let etc = Scratch::new();
        let link = |name: &str, target: &str| {
            symlink(target, etc.path().join(name)).unwrap();
            Zone::without(&etc.path().join(name)).map(|zone| zone.to_string())
        };
        assert_eq!(Zone::without(&etc.path().join("gone")).unwrap().to_string(), "UTC");
        assert_eq!(link("utc", "/gone/zoneinfo/Etc/UTC").unwrap(), "UTC");
        let lie = ZoneError::System { of: LOCALTIME };
        assert_eq!(link("berlin", "/gone/zoneinfo/Europe/Berlin"), Err(lie.clone()));
        etc.write("garbage", "no zone");
        assert_eq!(Zone::without(&etc.path().join("garbage")).unwrap_err(), lie);
        assert!(Zone::system().is_ok());
    }
}
