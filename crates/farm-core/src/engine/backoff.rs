//! How long to wait before a retry.

use std::time::Duration;

/// Doubling delays with jitter, within bounds. It does not sleep, but says how long to.
#[derive(Debug, Clone)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// The usual bounds, for failures that may last long.
    pub const LEAST: Duration = Duration::from_secs(1);
    /// See [`Backoff::LEAST`].
    pub const MOST: Duration = Duration::from_secs(5 * 60);

    /// Delays within the usual bounds.
    #[must_use]
    pub const fn standard() -> Self {
        Self::new(Self::LEAST, Self::MOST)
    }

    /// Delays that start with `least` and double each time, up to `most`.
    #[must_use]
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, next: least }
    }

    /// The delay before the next attempt: between half of the current step and all of it,
    /// so that a thousand hosts do not retry at the same instant.
    pub fn delay(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.most);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Starts again with the least delay, after a success.
    pub const fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_within_their_bounds_and_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for step_ms in [100, 200, 400, 800, 1000, 1000] {
            let delay = backoff.delay();
            let step = Duration::from_millis(step_ms);
            assert!(delay >= step / 2 && delay <= step, "{delay:?} for a step of {step:?}");
        }
        backoff.reset();
        assert!(backoff.delay() <= Duration::from_millis(100));
    }
}
