//! Scales: from values to positions, and where the ticks go.

use crate::report::markup::apart;

/// Whether equal distances mean equal differences or equal ratios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    Linear,
    Log,
}

impl Scale {
    /// What an axis of this scale is called that shows `what`.
    pub(in crate::report) fn label(self, what: &str) -> String {
        match self {
            Scale::Linear => what.to_owned(),
            Scale::Log => format!("{what} (log scale)"),
        }
    }
}

/// A range of values drawn over a range of pixels.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// The axis that shows all of `values` that can be shown, between the pixels `from` and `to`.
    pub(in crate::report) fn new(
        scale: Scale,
        values: impl Iterator<Item = f64>,
        from: f64,
        to: f64,
    ) -> Self {
        let usable = values.filter(|v| v.is_finite() && (scale == Scale::Linear || *v > 0.0));
        let (mut low, mut high) = usable
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            (low, high) = (1.0, 10.0);
        }
        if low == high {
            (low, high) = match scale {
                Scale::Linear => (low - 0.5, high + 0.5),
                Scale::Log => (low / 2.0, high * 2.0),
            };
        }
        Axis { scale, low, high, from, to }
    }

    /// The axis from `low` to `high`, between the pixels `from` and `to`.
    pub(in crate::report) fn between(
        scale: Scale,
        [low, high]: [f64; 2],
        from: f64,
        to: f64,
    ) -> Self {
        Axis::new(scale, [low, high].into_iter(), from, to)
    }

    /// What equal distances mean.
    pub(in crate::report) fn scale(&self) -> Scale {
        self.scale
    }

    /// The smallest and the largest value it shows.
    pub(in crate::report) fn range(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// The pixels it lies between, in the order in which it was given them.
    pub(in crate::report) fn pixels(&self) -> [f64; 2] {
        [self.from, self.to]
    }

    /// The pixel of a value, outside of the axis too; NaN for what has no place on it.
    pub(in crate::report) fn beyond(&self, value: f64) -> f64 {
        let place = |v: f64| if self.scale == Scale::Log { v.ln() } else { v };
        let share = (place(value) - place(self.low)) / (place(self.high) - place(self.low));
        self.from + share * (self.to - self.from)
    }

    /// The pixel of a value; values outside, infinite ones and NaN land on an end.
    pub(in crate::report) fn at(&self, value: f64) -> f64 {
        if value.is_nan() {
            return self.to;
        }
        let place =
            |v: f64| if self.scale == Scale::Log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        let (low, high) = (place(self.low), place(self.high));
        let share = (place(value) - low) / (high - low);
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Whether a value lies within the range.
    pub(in crate::report) fn shows(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    /// Positions and labels of about `wanted` ticks.
    pub(in crate::report) fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        let values = match self.scale {
            Scale::Linear => self.linear_ticks(wanted),
            Scale::Log => self.log_ticks(wanted),
        };
        values.iter().map(|v| self.at(*v)).zip(apart(&values)).collect()
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / wanted.max(1) as f64;
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * magnitude);
        let step = step.into_iter().find(|s| *s >= raw).unwrap_or(raw);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }

    fn log_ticks(&self, wanted: usize) -> Vec<f64> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let decades = (self.high / self.low).log10();
        let within = |multiples: &[f64], every: i32| -> Vec<f64> {
            (first..=last)
                .filter(|e| e.rem_euclid(every) == 0)
                .flat_map(|e| multiples.iter().map(move |m| m * 10f64.powi(e)))
                .filter(|v| self.shows(*v))
                .collect()
        };
        // The finest grid that does not exceed what was wanted by much.
        let fine = within(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 1);
        let medium = within(&[1.0, 2.0, 5.0], 1);
        let ticks = if fine.len() <= wanted + 1 {
            fine
        } else if medium.len() <= wanted + 2 {
            medium
        } else {
            within(&[1.0], (decades / wanted as f64).ceil().max(1.0) as i32)
        };
        // A narrow range may lie between two of them, and there both scales are much the same.
        if ticks.len() < 2 && decades < 1.0 { self.linear_ticks(wanted) } else { ticks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, low: f64, high: f64, wanted: usize) -> Vec<String> {
        let axis = Axis::new(scale, [low, high].into_iter(), 0.0, 100.0);
        axis.ticks(wanted).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(Scale::Linear, 0.0, 800.0, 4), ["0", "200", "400", "600", "800"]);
        assert_eq!(
            labels(Scale::Log, 0.013, 2.3, 6),
            ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
        );
        assert_eq!(labels(Scale::Log, 2.24, 2.3, 3), ["2.26", "2.28"]);
        assert_eq!(labels(Scale::Linear, 2.294, 2.306, 3), ["2.295", "2.3", "2.305"]);
        assert_eq!(labels(Scale::Log, 20.0, 800.0, 6), ["20", "50", "100", "200", "500"]);
        assert_eq!(labels(Scale::Log, 1e-6, 1.0, 3), ["10⁻⁶", "10⁻⁴", "0.01", "1"]);
    }

    #[test]
    fn what_cannot_be_placed_lands_on_an_end() {
        let axis = Axis::new(Scale::Log, [0.1, 10.0, f64::NAN, 0.0].into_iter(), 100.0, 0.0);
        assert!((axis.at(1.0) - 50.0).abs() < 1e-9);
        assert_eq!(axis.at(0.0), 100.0);
        assert_eq!((axis.at(f64::INFINITY), axis.at(f64::NAN)), (0.0, 0.0));
    }

    #[test]
    fn no_values_and_one_value_still_make_an_axis() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [vec![], vec![3.0]] {
                let axis = Axis::new(scale, values.into_iter(), 0.0, 10.0);
                assert!(!axis.ticks(4).is_empty() && axis.at(3.0).is_finite());
            }
        }
    }
}
