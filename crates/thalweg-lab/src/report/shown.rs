//! How the losses of a task are shown.

use super::draw;
use crate::protocol::stats::scale::Scale;
use crate::protocol::{Band, Standing, TaskOutcome};

/// How the losses of a task are shown: as they are, or as what is left above the smallest loss.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown(pub(super) Scale);

impl Shown {
    /// What is shown of losses that are called `what`.
    pub(super) fn label(self, what: &str) -> String {
        match self.0 {
            Scale::Plain | Scale::Above(0.0) => what.to_owned(),
            Scale::Above(_) => format!("{what} above the smallest"),
        }
    }

    /// A loss.
    pub(super) fn loss(self, loss: f64) -> f64 {
        self.0.left(loss)
    }

    /// A mean and its extremes.
    pub(super) fn band(self, band: Band) -> Band {
        let [mean, low, high] = [band.mean, band.low, band.high].map(|loss| self.loss(loss));
        Band { mean, low, high }
    }

    /// The ends of a standing's 95 % interval.
    pub(super) fn interval(self, s: &Standing) -> Option<[f64; 2]> {
        let typical = self.loss(s.test_loss.mean);
        match s.test_factor {
            Some(factor) => Some([typical / factor, typical * factor]),
            None => s.test_loss.half_width.map(|half| [typical - half, typical + half]),
        }
    }

    /// The axis for `values`, which are shown already: logarithmic where all have a logarithm. Above the smallest
    /// loss what has none is round-off.
    pub(super) fn axis(self, mut values: impl Iterator<Item = f64>) -> draw::Scale {
        match self.0 {
            Scale::Plain if values.any(|v| v <= 0.0) => draw::Scale::Linear,
            _ => draw::Scale::Log,
        }
    }

    /// The axis for test losses side by side, and up to where it goes: on a linear one those that are worse than
    /// three times the best (by twice its size, below zero) would flatten the others.
    pub(super) fn beside(self, task: &TaskOutcome) -> (draw::Scale, f64) {
        let best = task.standings.first().map_or(0.0, |s| s.test_loss.mean);
        match self.0 {
            Scale::Plain if best == 0.0 => (draw::Scale::Linear, f64::INFINITY),
            Scale::Plain => (draw::Scale::Linear, best + 2.0 * best.abs()),
            Scale::Above(_) => (draw::Scale::Log, f64::INFINITY),
        }
    }
}
