//! Median and 99th percentile of samples.
//!
//! **Invariant.** Both are samples that were measured: nothing is interpolated.

use super::error::BenchError;
use std::time::Duration;

/// The median and the 99th percentile of some samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    /// Half of the samples are not greater.
    pub(super) median: f64,
    /// 99 of 100 samples are not greater. With fewer than 100 samples it is the greatest one.
    pub(super) p99: f64,
}

impl Summary {
    /// Summarizes samples, if there are any.
    pub(super) fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        Some(Self { median: percentile(&samples, 50)?, p99: percentile(&samples, 99)? })
    }

    /// A value that is the same for all samples.
    pub(super) const fn constant(value: f64) -> Self {
        Self { median: value, p99: value }
    }
}

/// The smallest sample that at least so many percent of the samples do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

/// Samples of a tool and of its limit, taken alternately.
#[derive(Debug, Default)]
pub(super) struct SamplePairs {
    measured: Vec<f64>,
    limit: Vec<f64>,
}

impl SamplePairs {
    /// Adds a sample of each.
    pub(super) fn push(&mut self, measured: Duration, limit: Duration) {
        self.measured.push(measured.as_secs_f64());
        self.limit.push(limit.as_secs_f64());
    }

    /// The number of samples of each.
    pub(super) fn len(&self) -> usize {
        self.measured.len()
    }

    /// The summaries of the tool and of its limit.
    pub(super) fn summaries(self) -> Option<(Summary, Summary)> {
        Some((Summary::of(self.measured)?, Summary::of(self.limit)?))
    }
}

/// How long something took, or why it failed.
pub(super) type TimingResult = Result<Duration, BenchError>;

/// Measures the tool and its limit alternately, so that noise affects both. The first rounds warm
/// up caches and the server's JIT compiler, and do not count.
pub(super) fn interleave(
    rounds: usize,
    warm_up_rounds: usize,
    mut measured: impl FnMut() -> TimingResult,
    mut limit: impl FnMut() -> TimingResult,
) -> Result<SamplePairs, BenchError> {
    let mut pairs = SamplePairs::default();
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

    fn summary(samples: impl IntoIterator<Item = u32>) -> (f64, f64) {
        let summary = Summary::of(samples.into_iter().map(f64::from).collect()).unwrap();
        (summary.median, summary.p99)
    }

    #[test]
    fn summaries_are_samples_whatever_their_order() {
        assert_eq!(Summary::of(Vec::new()), None);
        assert_eq!(summary([7]), (7.0, 7.0));
        assert_eq!(summary([9, 1]), (1.0, 9.0));
        assert_eq!(summary([3, 1, 2]), (2.0, 3.0));
        assert_eq!(summary(1..=100), (50.0, 99.0));
        assert_eq!(summary((1..=200).rev()), (100.0, 198.0));
    }

    #[test]
    fn one_outlier_moves_the_p99_alone() {
        let samples = (0..20).map(|_| 5).chain([1000]);
        assert_eq!(summary(samples), (5.0, 1000.0));
    }

    #[test]
    fn both_sides_alternate_and_the_warm_up_does_not_count() {
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
        let (measured, limit) = pairs.summaries().unwrap();
        assert_eq!((measured.median, measured.p99), (0.001, 0.003));
        assert_eq!((limit.median, limit.p99), (0.002, 0.002));
    }

    #[test]
    fn a_failure_ends_the_measurement() {
        let mut calls = 0;
        let failing = || {
            calls += 1;
            Err(BenchError::NoSamples)
        };
        assert!(interleave(5, 5, failing, || Ok(Duration::ZERO)).is_err());
        assert_eq!(calls, 1);
    }
}
