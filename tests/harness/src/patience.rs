//! Waiting for outcomes.
//!
//! The test suite sleeps nowhere else: a test names the condition that it waits for, not a
//! time that should be enough.

use std::fmt::Display;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);

/// The given time, scaled by `FARM_TEST_PATIENCE` for slow machines.
#[must_use]
pub fn patience(base: Duration) -> Duration {
    let factor = std::env::var("FARM_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    base.mul_f64(factor.filter(|factor: &f64| (0.1..=1000.0).contains(factor)).unwrap_or(1.0))
}

/// The seeds of a randomized test, from 0 on: the usual number times `FARM_STORMS`.
#[must_use]
pub fn seeds(usual: u64) -> std::ops::Range<u64> {
    let factor = std::env::var("FARM_STORMS").ok().and_then(|text| text.parse().ok());
    0..usual.saturating_mul(factor.unwrap_or(1))
}

/// Waits until the probe succeeds, and returns what it found.
///
/// # Panics
///
/// After ten seconds (scaled); the message has the last probe's error.
#[track_caller]
pub fn eventually<T, E: Display>(what: &str, probe: impl FnMut() -> Result<T, E>) -> T {
    eventually_within(PATIENCE, what, probe)
}

/// Waits like [`eventually`], but at most for `limit` (scaled).
///
/// # Panics
///
/// After that time; the message has the last probe's error.
#[track_caller]
pub fn eventually_within<T, E: Display>(
    limit: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T, E>,
) -> T {
    let limit = patience(limit);
    match until(Instant::now() + limit, &mut probe) {
        Ok(found) => found,
        Err(last) => panic!("after {limit:?}, not yet: {what}; last seen: {last}"),
    }
}

/// Checks that a condition holds for the whole duration.
///
/// # Panics
///
/// When a probe fails.
#[track_caller]
pub fn holds_for<E: Display>(
    duration: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<(), E>,
) {
    let start = Instant::now();
    loop {
        if let Err(seen) = probe() {
            panic!("no longer true after {:?}: {what}; seen: {seen}", start.elapsed());
        }
        if start.elapsed() >= duration {
            return;
        }
        pause();
    }
}

/// Repeats the probe until it succeeds or the deadline passes; probes at least once.
///
/// # Errors
///
/// The last probe's error.
pub fn until<T, E>(deadline: Instant, probe: &mut impl FnMut() -> Result<T, E>) -> Result<T, E> {
    loop {
        match probe() {
            Err(_) if Instant::now() < deadline => pause(),
            answer => return answer,
        }
    }
}

fn pause() {
    std::thread::park_timeout(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn eventually_returns_the_first_success() {
        let mut round = 0;
        let found = eventually("three rounds", || {
            round += 1;
            if round == 3 { Ok(round) } else { Err(format!("round {round}")) }
        });
        assert_eq!(found, 3);
    }

    #[test]
    fn eventually_gives_up_with_the_last_value_seen() {
        let panic = catch_unwind(|| {
            eventually_within(Duration::from_millis(20), "the condition", || {
                Err::<u8, _>("a value")
            })
        })
        .unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("the condition") && text.contains("last seen: a value"), "{text}");
    }

    #[test]
    fn steadily_fails_at_the_first_lapse() {
        let mut left = 3;
        let lapse = catch_unwind(std::panic::AssertUnwindSafe(|| {
            holds_for(Duration::from_secs(60), "there are some left", || {
                left -= 1;
                if left > 0 { Ok(()) } else { Err("none left") }
            });
        }));
        assert!(lapse.is_err());
        holds_for(Duration::from_millis(20), "it holds", || Ok::<_, String>(()));
    }
}
