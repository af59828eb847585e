//! The time zone of the allowed hours.
//!
//! **Invariant.** An unknown zone is an error and never replaced by another one, because a restart
//! could then happen at the wrong hour.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

const LOCALTIME: &str = "/etc/localtime";
const UTC: &str = "UTC";

/// A time zone, with the rules that the database had when it was read.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// The zone of this name, like `Europe/Berlin`. `UTC` needs no database.
    ///
    /// # Errors
    ///
    /// [`ZoneError::Unknown`]; [`ZoneError::NoDatabase`] on a machine without zones.
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

    /// The zone of this system: that of `TZ`, else that of `/etc/localtime`, else UTC.
    ///
    /// # Errors
    ///
    /// [`ZoneError::System`] when one of the two names a zone that can't be read.
    pub fn system() -> Result<Self, ZoneError> {
        let is_named_by_environment = std::env::var_os("TZ").is_some();
        match TimeZone::try_system() {
            Ok(zone) => Ok(Self(zone)),
            Err(_) if is_named_by_environment => Err(ZoneError::System { of: "TZ" }),
            Err(_) => Self::fallback(Path::new(LOCALTIME)),
        }
    }

    /// UTC if `localtime` is missing, or names UTC on a system without a database.
    fn fallback(localtime: &Path) -> Result<Self, ZoneError> {
        match fs::read_link(localtime) {
            Ok(target) if target.file_name() == Some(OsStr::new(UTC)) => Ok(Self(TimeZone::UTC)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(TimeZone::UTC)),
            Ok(_) | Err(_) => Err(ZoneError::System { of: LOCALTIME }),
        }
    }

    /// The local time at this moment.
    pub(super) fn local(&self, at: Timestamp) -> DateTime {
        self.0.to_datetime(at)
    }

    /// When the clocks change next: summer time, or a new offset.
    pub(super) fn next_transition(&self, after: Timestamp) -> Option<Timestamp> {
        Some(self.0.following(after).next()?.timestamp())
    }
}

/// Why a zone can't be had.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum ZoneError {
    /// No zone has that name.
    #[error("there is no time zone {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// This machine has no zones at all.
    #[error("this machine has no time zone database, so it does not know {name:?}")]
    NoDatabase {
        /// The name.
        name: String,
    },
    /// The system names a zone that can't be read.
    #[error("the time zone that {of} names can't be read")]
    System {
        /// Where: `TZ` or `/etc/localtime`.
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
    fn a_machine_without_zones_has_only_utc() {
        let nothing = TimeZoneDatabase::none();
        assert!(Zone::named_in(&nothing, "UTC").is_ok());
        let error = Zone::named_in(&nothing, "Europe/Berlin").unwrap_err();
        assert_eq!(error, ZoneError::NoDatabase { name: "Europe/Berlin".to_owned() });
    }

    #[test]
    fn a_system_without_localtime_is_in_utc_and_an_unreadable_one_is_an_error() {
        let etc = Scratch::new();
        let link = |name: &str, target: &str| {
            symlink(target, etc.path().join(name)).unwrap();
            Zone::fallback(&etc.path().join(name)).map(|zone| zone.to_string())
        };
        assert_eq!(Zone::fallback(&etc.path().join("gone")).unwrap().to_string(), "UTC");
        assert_eq!(link("utc", "/gone/zoneinfo/Etc/UTC").unwrap(), "UTC");
        let unreadable = ZoneError::System { of: LOCALTIME };
        assert_eq!(link("berlin", "/gone/zoneinfo/Europe/Berlin"), Err(unreadable.clone()));
        etc.write("garbage", "no zone");
        assert_eq!(Zone::fallback(&etc.path().join("garbage")).unwrap_err(), unreadable);
        assert!(Zone::system().is_ok());
    }
}
