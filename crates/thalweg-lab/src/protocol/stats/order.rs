//! The expected best of a few tuning trials.

use serde::Serialize;

use super::bootstrap::resample;
use super::quantile;

/// Bootstrap resamples behind a band.
const RESAMPLES: u64 = 1_000;

/// What `trials` tuning trials are expected to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestOf {
    /// The number of trials.
    pub trials: usize,
    /// The expected lowest loss.
    pub expected: f64,
    /// The 2.5 % quantile of the same over bootstrap resamples of the trials.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
}

/// The expected lowest value among `k` of `values` drawn without replacement, for k = 1 to all: the
/// unbiased closed form over order statistics, `Σᵢ v₍ᵢ₎ C(n-i, k-1) / C(n, k)`.
pub fn expected_best(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    (1..=n)
        .map(|k| {
            // The weight of the smallest is k/n; each next one follows from the one before.
            let mut weight = k as f64 / n as f64;
            let mut sum = 0.0;
            for (i, value) in sorted.iter().enumerate().take(n - k + 1) {
                sum += weight * value;
                weight *= (n - k - i) as f64 / (n - 1 - i).max(1) as f64;
            }
            sum
        })
        .collect()
}

/// The tunability curve of finite trial losses, with percentile bootstrap bands.
pub fn tunability(values: &[f64]) -> Vec<BestOf> {
    let expected = expected_best(values);
    let resampled: Vec<Vec<f64>> =
        (0..RESAMPLES).map(|i| expected_best(&resample(values, i))).collect();
    expected
        .into_iter()
        .enumerate()
        .map(|(i, expected)| {
            let mut column: Vec<f64> = resampled.iter().map(|curve| curve[i]).collect();
            column.sort_by(f64::total_cmp);
            let (low, high) = (quantile(&column, 0.025), quantile(&column, 0.975));
            BestOf { trials: i + 1, expected, low, high }
        })
        .collect()
}
