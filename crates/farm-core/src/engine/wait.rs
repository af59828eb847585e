//! How changes that follow one another are gathered.

use std::time::Duration;

/// Changes are gathered until it is quiet for `min`, and at most for `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// So long nothing must happen.
    pub min: Duration,
    /// So long after the first change nobody waits any longer.
    pub max: Duration,
}
