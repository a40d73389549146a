//! The statistics of the protocol, all with their assumptions written down.

pub mod basin;
pub mod bootstrap;
pub mod distributions;
pub mod multiple;
pub mod order;
pub mod profile;
pub mod runs;
pub mod scale;
#[cfg(test)]
mod tests;

use serde::Serialize;

use distributions::{sign_test, student_t_two_sided};

/// A mean over seeds with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The arithmetic mean; infinite if any value is.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval of the mean (Student's t: the seeds are taken
    /// as independent and roughly normal). `None` for fewer than two values or an infinite mean.
    pub half_width: Option<f64>,
    /// The number of values.
    pub count: usize,
}

impl Estimate {
    /// The mean of `values` and its 95 % interval.
    pub fn of(values: &[f64]) -> Self {
        let (count, mean) = (values.len(), mean(values));
        let half_width = (count >= 2 && mean.is_finite()).then(|| {
            let variance =
                values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
            student_t_975(count - 1) * (variance / count as f64).sqrt()
        });
        Estimate { mean, half_width, count }
    }

    /// The mean difference `a[i] - b[i]` of runs that shared seed `i`, with its interval. Runs that both
    /// diverged are equal.
    ///
    /// Pairing removes what the seed does to both, so fewer seeds give the same certainty.
    pub fn of_differences(a: &[f64], b: &[f64]) -> Self {
        Estimate::of(&differences(a, b))
    }

    /// Whether the interval contains zero, that is, the data do not tell the sign.
    ///
    /// With fewer than two finite values nothing can be told apart, except from an infinite mean.
    pub fn may_be_zero(&self) -> bool {
        match self.half_width {
            Some(half_width) => self.mean.abs() <= half_width,
            None => !self.mean.is_infinite(),
        }
    }
}

/// The arithmetic mean, of equal values that value; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    match values {
        // A sum would round, and what lies at the floor of its task would not any more.
        [first, rest @ ..] if rest.iter().all(|v| v == first) => *first,
        _ => values.iter().sum::<f64>() / values.len() as f64,
    }
}

/// The median; NaN for no values. Infinite values take their place in the order.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n if sorted[n / 2].is_infinite() => sorted[n / 2],
        n => 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]),
    }
}

/// The 97.5 % quantile of Student's t distribution; infinite without degrees of freedom.
pub fn student_t_975(degrees_of_freedom: usize) -> f64 {
    if degrees_of_freedom == 0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (1.9_f64, 13.0_f64);
    while high - low > 1e-15 * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        match student_t_two_sided(middle, degrees_of_freedom) > 0.05 {
            true => low = middle,
            false => high = middle,
        }
    }
    0.5 * (low + high)
}

/// The quantile `q` of sorted values, interpolated linearly between neighbours (type 7 of Hyndman and
/// Fan, the default of NumPy and R); NaN for no values.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = q.clamp(0.0, 1.0) * last as f64;
    let (below, share) = (position as usize, position.fract());
    if share == 0.0 {
        return sorted[below];
    }
    sorted[below] + share * (sorted[below + 1] - sorted[below])
}

/// The differences of pairs; two infinite values are equal.
fn differences(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| if a == b { 0.0 } else { a - b }).collect()
}

/// The one-sided p-value of a mean difference above zero, from the two-sided one; 1 where the difference
/// has no sign.
pub fn above_zero(two_sided: f64, mean: f64) -> f64 {
    match mean {
        m if m > 0.0 => 0.5 * two_sided,
        m if m < 0.0 => 1.0 - 0.5 * two_sided,
        _ => 1.0,
    }
}

/// The two-sided probability that of `2n` runs, `n` of which diverged, these are all of one group of `n` and none
/// of the other: Fisher's exact test.
pub fn all_or_none(n: usize) -> f64 {
    let ways: f64 = (1..=n).map(|k| (n + k) as f64 / k as f64).product();
    (2.0 / ways).min(1.0)
}

/// The probability of differences at least this far from zero if there were none: the two-sided paired
/// t test.
///
/// A pair in which only one run diverged has no finite difference. If that is so in every pair, and
/// always the same one diverged, divergence itself is the difference: the probability is that of one of two
/// groups having all that diverged by chance (Fisher's exact test). If it is so in some pairs, only the
/// signs are used (exact sign test), as they are where all differences are the same: a t test would be sure
/// after two of them. Runs that both diverged are equal. One divergence makes the mean infinite, whatever the
/// other pairs say: if most signs are not those of the mean, nothing speaks for it, and the probability is 1.
pub fn paired_p(a: &[f64], b: &[f64]) -> f64 {
    paired_p_on(a, b, 0.0)
}

/// The same of values that were only looked at every `grid`: their differences do not vary less than rounding
/// makes them, by a variance of `grid²/12` each.
pub fn paired_p_on(a: &[f64], b: &[f64], grid: f64) -> f64 {
    let differences = differences(a, b);
    let n = differences.len();
    let count = |f: fn(&f64) -> bool| differences.iter().filter(|d| f(d)).count();
    let (above, below) = (count(|d| *d > 0.0), count(|d| *d < 0.0));
    if n == 0 || above + below == 0 {
        return 1.0;
    }
    if differences.iter().any(|d| !d.is_finite()) {
        let mean = mean(&differences);
        let all = differences.iter().all(|d| d.is_infinite());
        return match (mean > 0.0, mean < 0.0) {
            _ if all && above.min(below) == 0 => all_or_none(n),
            (true, _) if above > below => sign_test(above, below),
            (_, true) if above < below => sign_test(above, below),
            _ => 1.0,
        };
    }
    if n < 2 {
        return 1.0;
    }
    let mean = mean(&differences);
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let variance = variance.max(grid * grid / 6.0);
    if variance == 0.0 {
        return sign_test(above, below);
    }
    student_t_two_sided(mean / (variance / n as f64).sqrt(), n - 1)
}
