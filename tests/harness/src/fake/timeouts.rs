//! Which session timeouts an ensemble grants.

use std::time::Duration;

/// The bounds of the session timeouts that an ensemble grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// The shortest timeout.
    pub least: Duration,
    /// The longest timeout.
    pub most: Duration,
    /// If set, every client gets this timeout, whatever it asks for.
    pub always: Option<Duration>,
}

impl Default for Timeouts {
    /// Two and twenty ticks of two seconds, the defaults of a real server.
    fn default() -> Self {
        Self { least: Duration::from_secs(4), most: Duration::from_secs(40), always: None }
    }
}

impl Timeouts {
    pub(super) fn grant(self, wanted: Duration) -> Duration {
        self.always.unwrap_or_else(|| wanted.max(self.least).min(self.most))
    }
}
