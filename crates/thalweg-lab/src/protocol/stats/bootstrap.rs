//! Bootstrap intervals of a mean.

use serde::Serialize;

use super::distributions::normal_cdf;
use super::{mean, quantile, student_t_975};
use crate::rng::{Purpose, Stream};

/// Up to this many values every resample is looked at, so the interval has no randomness of its own.
const EXACT: usize = 6;

/// Resamples drawn where they are too many to look at all.
pub const RESAMPLES: usize = 10_000;

/// An interval; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Whether the interval contains `value`.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The 95 % expanded-percentile bootstrap interval of the mean (Hesterberg, The American Statistician
/// 69(4), 2015): percentiles of resampled means, taken so far out that for normal values the interval is
/// as wide as Student's; the plain percentile interval is too narrow for a few seeds.
///
/// `None` for fewer than two values or values that are not finite. All `nⁿ` resamples count up to
/// n = 6; beyond that [`RESAMPLES`] are drawn, the same ones for every call with the same `n`.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    let n = values.len();
    if n < 2 || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut means = if n <= EXACT { all_means(values) } else { drawn_means(values) };
    means.sort_by(f64::total_cmp);
    let tail = expanded_tail(n);
    Some(Interval { low: quantile(&means, tail), high: quantile(&means, 1.0 - tail) })
}

/// The share of resampled means beyond each end of the interval.
pub fn expanded_tail(n: usize) -> f64 {
    normal_cdf(-(n as f64 / (n - 1) as f64).sqrt() * student_t_975(n - 1))
}

fn all_means(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    (0..n.pow(n as u32))
        .map(|code| {
            let (mut rest, mut sum) = (code, 0.0);
            for _ in 0..n {
                sum += values[rest % n];
                rest /= n;
            }
            sum / n as f64
        })
        .collect()
}

fn drawn_means(values: &[f64]) -> Vec<f64> {
    (0..RESAMPLES).map(|i| mean(&resample(values, i as u64))).collect()
}

/// The `index`-th resample of `values`, with replacement: a pure function of its arguments.
pub fn resample<T: Copy>(values: &[T], index: u64) -> Vec<T> {
    let mut stream = Stream::new("bootstrap", values.len() as u64, Purpose::Bootstrap, index);
    (0..values.len()).map(|_| values[stream.below(values.len() as u32) as usize]).collect()
}
