//! Errors of watching.

use std::fmt;
use std::path::{Path, PathBuf};

/// Why a watch cannot be set.
#[derive(Debug)]
pub struct WatchError {
    path: PathBuf,
    pub(super) fault: WatchFault,
}

#[derive(Debug)]
pub(super) enum WatchFault {
    Notify(notify::Error),
    /// There are too many events, or too many directories.
    TooSlow,
}

impl WatchError {
    pub(super) fn of(path: &Path, fault: WatchFault) -> Self {
        Self { path: path.to_owned(), fault }
    }

    /// Whether the user has reached the limit of watches.
    #[must_use]
    pub const fn is_limit(&self) -> bool {
        matches!(&self.fault, WatchFault::Notify(e) if matches!(e.kind, notify::ErrorKind::MaxFilesWatch))
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot watch {}", self.path.display())?;
        if self.is_limit() {
            f.write_str(" (see sysctl fs.inotify.max_user_watches)")?;
        }
        match self.fault {
            WatchFault::Notify(_) => Ok(()),
            WatchFault::TooSlow => f.write_str(": that takes too long"),
        }
    }
}

impl std::error::Error for WatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            WatchFault::Notify(source) => Some(source),
            WatchFault::TooSlow => None,
        }
    }
}
