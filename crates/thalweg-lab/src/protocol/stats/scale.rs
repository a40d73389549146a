//! On which scale losses are averaged and compared.

use serde::Serialize;

use super::bootstrap::{Interval, mean_interval};
use super::{Estimate, differences, mean};

/// How far some losses are from others that share their seeds: by which difference, or by which factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// The mean difference with its interval, or the geometric mean of the ratios of what is left above
    /// the smallest loss, without one.
    pub mean: Estimate,
    /// The factor up and down of the 95 % interval of a ratio.
    pub factor: Option<f64>,
    /// The 95 % bootstrap interval of the mean.
    pub interval: Option<Interval>,
}

/// The scale on which the losses of a task are averaged and compared.
///
/// Where the smallest loss is known, an optimizer shrinks what is left above it by a factor per step, and
/// what is left spans decades. Means and t tests of such numbers say only what the worst seed did; their
/// logarithms are what a t test asks for, roughly normal with much the same spread. The mean on that scale
/// is the geometric one, the only mean that does not depend on which of two ratios is called the unit
/// (Fleming and Wallace, Commun. ACM 29(3), 1986).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Losses as they are, compared by their differences.
    Plain,
    /// The logarithm of what is left above this smallest loss, compared by ratios.
    Above(f64),
}

impl Scale {
    /// The scale of `losses`: what is left above `minimum` if that is known and every finite loss lies
    /// above it, so that all have a logarithm.
    pub fn of(minimum: Option<f64>, mut losses: impl Iterator<Item = f64>) -> Self {
        match minimum {
            Some(minimum) if losses.all(|loss| loss > minimum) => Scale::Above(minimum),
            _ => Scale::Plain,
        }
    }

    /// What counts of a loss: all of it, or what is left above the minimum.
    pub fn left(self, loss: f64) -> f64 {
        match self {
            Scale::Plain => loss,
            Scale::Above(minimum) => loss - minimum,
        }
    }

    /// Where a loss lies on the scale; infinite for a diverged run.
    pub fn place(self, loss: f64) -> f64 {
        match self {
            Scale::Plain => loss,
            Scale::Above(_) => self.left(loss).ln(),
        }
    }

    /// The loss whose place is the mean of the places of `losses`; infinite if one is.
    pub fn typical(self, losses: &[f64]) -> f64 {
        match (self, losses) {
            // A logarithm there and back would round.
            (_, [first, rest @ ..]) if rest.iter().all(|loss| loss == first) => *first,
            (Scale::Plain, _) => mean(losses),
            (Scale::Above(minimum), _) => minimum + mean(&self.places(losses)).exp(),
        }
    }

    /// The typical loss with its 95 % interval: half its width where losses are compared by differences,
    /// the factor up and down for what is left above the minimum where they are compared by ratios.
    pub fn estimate(self, losses: &[f64]) -> (Estimate, Option<f64>) {
        let placed = Estimate::of(&self.places(losses));
        match self {
            Scale::Plain => (placed, None),
            Scale::Above(_) => {
                let typical =
                    Estimate { mean: self.typical(losses), half_width: None, count: losses.len() };
                (typical, placed.half_width.map(f64::exp))
            }
        }
    }

    /// How far `to` is from `from`, paired in order.
    pub fn distance(self, from: &[f64], to: &[f64]) -> Distance {
        let differences = differences(&self.places(to), &self.places(from));
        let (mean, interval) = (Estimate::of(&differences), mean_interval(&differences));
        match self {
            Scale::Plain => Distance { mean, factor: None, interval },
            Scale::Above(_) => Distance {
                mean: Estimate { mean: mean.mean.exp(), half_width: None, ..mean },
                factor: mean.half_width.map(f64::exp),
                interval: interval.map(|i| Interval { low: i.low.exp(), high: i.high.exp() }),
            },
        }
    }

    /// The mean [`distance`](Scale::distance) of losses that are alike.
    pub fn alike(self) -> f64 {
        match self {
            Scale::Plain => 0.0,
            Scale::Above(_) => 1.0,
        }
    }

    /// Losses on the scale.
    pub fn places(self, losses: &[f64]) -> Vec<f64> {
        losses.iter().map(|loss| self.place(*loss)).collect()
    }
}
