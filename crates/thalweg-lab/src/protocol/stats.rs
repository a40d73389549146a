//! The statistics of the protocol, all with their assumptions written down.

use serde::Serialize;

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
        let count = values.len();
        let mean = mean(values);
        let half_width = (count >= 2 && mean.is_finite()).then(|| {
            let variance =
                values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1) as f64;
            student_t_975(count - 1) * (variance / count as f64).sqrt()
        });
        Estimate { mean, half_width, count }
    }

    /// The mean difference `a[i] - b[i]` of runs that shared seed `i`, with its interval.
    ///
    /// Pairing removes what the seed does to both, so fewer seeds give the same certainty.
    pub fn of_differences(a: &[f64], b: &[f64]) -> Self {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        Estimate::of(&differences)
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

/// The arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
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

/// The 97.5 % quantile of Student's t distribution.
pub fn student_t_975(degrees_of_freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004,
        2.262_157, 2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905,
        2.109_816, 2.100_922, 2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899,
        2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
    ];
    match degrees_of_freedom {
        0 => f64::INFINITY,
        n if n <= TABLE.len() => TABLE[n - 1],
        // Cornish-Fisher expansion around the normal quantile: exact to 1e-5 beyond the table.
        n => {
            let (z, n) = (1.959_963_985_f64, n as f64);
            let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
            z + (z3 + z) / (4.0 * n)
                + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n.powi(2))
                + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n.powi(3))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_agrees_with_a_hand_computed_one() {
        let e = Estimate::of(&[1.0, 2.0, 4.0]);
        assert!((e.mean - 7.0 / 3.0).abs() < 1e-12);
        // s = 1.527525, s/sqrt(3) = 0.881917, t(2) = 4.302653
        assert!((e.half_width.unwrap() - 3.794_59).abs() < 1e-4);
    }

    #[test]
    fn pairing_sees_what_separate_intervals_miss() {
        let a = [1.0, 5.0, 9.0];
        let b = [1.5, 5.4, 9.6];
        let separate = Estimate::of(&a);
        assert!(separate.half_width.unwrap() > 5.0);
        assert!(!Estimate::of_differences(&a, &b).may_be_zero());
    }

    #[test]
    fn divergence_makes_the_mean_infinite_and_has_no_interval() {
        let e = Estimate::of(&[1.0, f64::INFINITY, 1.0]);
        assert!(e.mean.is_infinite() && e.half_width.is_none() && !e.may_be_zero());
    }

    #[test]
    fn one_seed_tells_nothing_apart() {
        assert!(Estimate::of(&[3.0]).may_be_zero());
    }

    #[test]
    fn t_quantiles_fall_towards_the_normal_one() {
        assert_eq!(student_t_975(2), 4.302_653);
        assert!((student_t_975(31) - 2.039_513).abs() < 1e-5);
        assert!((student_t_975(1_000_000) - 1.959_964).abs() < 1e-4);
        for n in 1..200 {
            assert!(student_t_975(n) > student_t_975(n + 1));
        }
    }

    #[test]
    fn median_keeps_divergences_in_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, f64::INFINITY, f64::INFINITY]), f64::INFINITY);
        assert_eq!(median(&[1.0, 2.0, 3.0, f64::INFINITY]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
