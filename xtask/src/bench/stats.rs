//! What many samples come to.
//!
//! **Invariant.** Every figure is one that was measured: ranks are picked, never
//! interpolated.

use super::error::BenchError;
use std::time::Duration;

/// The middle and the worst of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    /// Half of the samples are not above it.
    pub(super) median: f64,
    /// 99 of 100 samples are not above it; of fewer than 100 it is the worst.
    pub(super) p99: f64,
}

impl Figure {
    /// The figures of some samples; none of none.
    pub(super) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        Some(Self { median: ranked(&samples, 50)?, p99: ranked(&samples, 99)? })
    }

    /// The same number every time.
    pub(super) const fn constant(value: f64) -> Self {
        Self { median: value, p99: value }
    }
}

/// The sample that so many percent of them are not above.
fn ranked(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Samples of a thing and of its limit, taken in turns.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    measured: Vec<f64>,
    limit: Vec<f64>,
}

impl Pairs {
    /// Adds one of each.
    pub(super) fn push(&mut self, measured: Duration, limit: Duration) {
        self.measured.push(measured.as_secs_f64());
        self.limit.push(limit.as_secs_f64());
    }

    /// How many of each.
    pub(super) fn len(&self) -> usize {
        self.measured.len()
    }

    /// The figures of the thing and of its limit.
    pub(super) fn figures(self) -> Option<(Figure, Figure)> {
        Some((Figure::of(self.measured)?, Figure::of(self.limit)?))
    }
}

/// How long something took, if it could be done.
pub(super) type Taken = Result<Duration, BenchError>;

/// Measures in turns, so that a noisy moment falls on both; the first rounds
/// warm up caches and compilers and do not count.
pub(super) fn interleave(
    rounds: usize,
    warm_up_rounds: usize,
    mut measured: impl FnMut() -> Taken,
    mut limit: impl FnMut() -> Taken,
) -> Result<Pairs, BenchError> {
    let mut pairs = Pairs::default();
    for round in 0..warm_up_rounds + rounds {
        let (measured, limit) = (measured()?, limit()?);
        if round >= warm_up_rounds {
            pairs.push(measured, limit);
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn figure(samples: impl IntoIterator<Item = u32>) -> (f64, f64) {
        let figure = Figure::of(samples.into_iter().map(f64::from).collect()).unwrap();
        (figure.median, figure.p99)
    }

    #[test]
    fn figures_are_samples_whatever_their_order() {
        assert_eq!(Figure::of(Vec::new()), None);
        assert_eq!(figure([7]), (7.0, 7.0));
        assert_eq!(figure([9, 1]), (1.0, 9.0));
        assert_eq!(figure([3, 1, 2]), (2.0, 3.0));
        assert_eq!(figure(1..=100), (50.0, 99.0));
        assert_eq!(figure((1..=200).rev()), (100.0, 198.0));
    }

    #[test]
    fn one_outlier_moves_the_p99_alone() {
        let samples = (0..20).map(|_| 5).chain([1000]);
        assert_eq!(figure(samples), (5.0, 1000.0));
    }

    #[test]
    fn both_sides_take_turns_and_the_warm_up_does_not_count() {
        let order = RefCell::new(String::new());
        let sample = |name: char, ms: u64| {
            order.borrow_mut().push(name);
            Ok(Duration::from_millis(ms))
        };
        let mut ms = [900, 1, 3].into_iter();
        let pairs =
            interleave(2, 1, || sample('m', ms.next().unwrap()), || sample('l', 2)).unwrap();
        assert_eq!(*order.borrow(), "mlmlml");
        assert_eq!(pairs.len(), 2);
        let (measured, limit) = pairs.figures().unwrap();
        assert_eq!((measured.median, measured.p99), (0.001, 0.003));
        assert_eq!((limit.median, limit.p99), (0.002, 0.002));
    }

    #[test]
    fn a_failure_ends_the_measuring() {
        let mut calls = 0;
        let failing = || {
            calls += 1;
            Err(BenchError::NotSeen { what: "it" })
        };
        assert!(interleave(5, 5, failing, || Ok(Duration::ZERO)).is_err());
        assert_eq!(calls, 1);
    }
}
