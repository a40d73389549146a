//! The schedule that reacts to what it is told.

use serde::{Deserialize, Serialize};

/// Which way a metric gets better (torch `mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlateauMode {
    /// Downwards: a loss.
    #[default]
    Min,
    /// Upwards: an accuracy.
    Max,
}

/// What a plateau's threshold is a difference of (torch `threshold_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdMode {
    /// Of the best metric so far, of whose size it is a share.
    #[default]
    Relative,
    /// Of the metric, in its unit.
    Absolute,
}

/// Multiplies its value by `factor` whenever the metric it is told by
/// [`Optimizer::observe`](crate::Optimizer::observe) has not got better by more than `threshold` for
/// `patience` observations in a row (torch `ReduceLROnPlateau`). During a warm-up before it, or while
/// another part of a sequence is active, nothing is observed.
///
/// Whatever value it can be lowered to must be in the range of the hyper-parameter: where that does not begin at
/// zero, `floor` must be set to a value inside. A metric that is NaN or infinite is never better.
///
/// In three places torch differs. Its relative threshold is `best·(1 − threshold)` whatever the sign, so that below
/// zero a metric that stands still counts as better and nothing is ever reduced; here it is a share of the size of
/// the best. Torch leaves out reductions smaller than its `eps`, 1e-8; here each is made. And an infinite metric may
/// become torch's best, after which nothing is better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The value now.
    pub value: f64,
    /// The value before the first reduction, not below `value` (none if there has been none).
    pub start: Option<f64>,
    /// What a reduction multiplies by, in (0, 1); torch's default 0.1.
    pub factor: f64,
    /// Observations without improvement that are tolerated; torch's default 10.
    pub patience: u64,
    /// How much better counts as an improvement; torch's default 1e-4.
    pub threshold: f64,
    /// Which way is better; torch's default is down.
    #[serde(default)]
    pub mode: PlateauMode,
    /// Whether the threshold is relative, torch's default, or absolute.
    #[serde(default)]
    pub threshold_mode: ThresholdMode,
    /// Observations after a reduction during which nothing is counted; torch's default 0.
    pub cooldown: u64,
    /// The value is never lowered below this; torch's default 0, which it tends to and does not reach.
    pub floor: f64,
    /// The best metric so far, finite (none at the start).
    pub best: Option<f64>,
    /// Observations without improvement so far.
    pub bad: u64,
    /// Observations of cool-down left.
    pub cooling: u64,
}

impl Plateau {
    /// A plateau schedule that starts at `value`, with torch's defaults.
    pub fn new(value: f64) -> Plateau {
        Plateau {
            value,
            start: None,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            mode: PlateauMode::Min,
            threshold_mode: ThresholdMode::Relative,
            cooldown: 0,
            floor: 0.0,
            best: None,
            bad: 0,
            cooling: 0,
        }
    }

    pub(crate) fn observe(&mut self, metric: f64) {
        let down = |metric: f64| match self.mode {
            PlateauMode::Min => metric,
            PlateauMode::Max => -metric,
        };
        let limit = match (self.best.map(down), self.threshold_mode) {
            (None, _) => f64::INFINITY,
            (Some(best), ThresholdMode::Relative) => best * (1.0 - self.threshold * best.signum()),
            (Some(best), ThresholdMode::Absolute) => best - self.threshold,
        };
        // A file could not hold an infinite best, and nothing would be better than it.
        let better = metric.is_finite() && down(metric) < limit;
        if better {
            self.best = Some(metric);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > self.patience {
            self.start.get_or_insert(self.value);
            self.value = self.lowered();
            self.cooling = self.cooldown;
            self.bad = 0;
        }
    }

    /// The value after one more reduction.
    fn lowered(&self) -> f64 {
        // A value that is below the floor already is not raised to it.
        let lowered = (self.value * self.factor).max(self.floor).min(self.value);
        // Zero is only tended to: where it is excluded, rounding must not lead to it.
        if lowered == 0.0 { self.value } else { lowered }
    }

    /// The lowest value that reductions lead to; zero, from a value above it, is only tended to.
    pub(crate) fn lowest(&self) -> f64 {
        self.value.min(self.floor.max(0.0))
    }

    /// Where it began.
    fn base(&self) -> f64 {
        self.start.unwrap_or(self.value)
    }

    /// Goes on where a saved one was: what that one had reached in proportion to its own start is
    /// applied to the start here.
    pub(crate) fn resume(&mut self, saved: &Plateau) {
        let (base, then) = (self.base(), saved.base());
        // A quotient of equal numbers times one of them would be rounded.
        let value = match saved.start {
            None => base,
            Some(_) if base == then => saved.value,
            // Nothing is in proportion to zero.
            Some(_) if then == 0.0 => base,
            Some(_) => base * (saved.value / then),
        };
        let Plateau { bad, cooling, .. } = *saved;
        // The best of the other way would be the worst.
        let best = saved.best.filter(|_| saved.mode == self.mode);
        *self = Plateau { value, start: saved.start.map(|_| base), best, bad, cooling, ..*self };
    }
}
