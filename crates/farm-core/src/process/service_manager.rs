//! The part of our environment that is meant for us alone.

/// The variables by which systemd talks to us. No process that we start inherits them.
pub(super) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];
