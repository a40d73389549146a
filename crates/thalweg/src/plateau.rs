//! The schedule that reacts to what it is told.

use serde::{Deserialize, Serialize};

/// Multiplies its value by `factor` whenever the metric it is told by
/// [`Optimizer::observe`](crate::Optimizer::observe) has not fallen by more than `threshold`
/// (relative) for `patience` observations in a row (torch `ReduceLROnPlateau`, mode "min"). During a
/// warm-up before it, or while another part of a sequence is active, nothing is observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plateau {
    /// The value now.
    pub value: f64,
    /// The value before the first reduction (none if there has been none).
    pub start: Option<f64>,
    /// What a reduction multiplies by, in (0, 1); torch's default 0.1.
    pub factor: f64,
    /// Observations without improvement that are tolerated; torch's default 10.
    pub patience: u64,
    /// Relative fall that counts as an improvement; torch's default 1e-4.
    pub threshold: f64,
    /// Observations after a reduction during which nothing is counted; torch's default 0.
    pub cooldown: u64,
    /// The value is never lowered below this; torch's default 0.
    pub floor: f64,
    /// The best metric so far (none at the start).
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
            cooldown: 0,
            floor: 0.0,
            best: None,
            bad: 0,
            cooling: 0,
        }
    }

    pub(crate) fn observe(&mut self, metric: f64) {
        let better = match self.best {
            None => metric < f64::INFINITY,
            Some(best) => metric < best * (1.0 - self.threshold * best.signum()),
        };
        if better {
            self.best = Some(metric);
            self.bad = 0;
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > self.patience {
            self.start.get_or_insert(self.value);
            self.value = (self.value * self.factor).max(self.floor);
            self.cooling = self.cooldown;
            self.bad = 0;
        }
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
            Some(_) => base * (saved.value / then),
        };
        let Plateau { best, bad, cooling, .. } = *saved;
        *self = Plateau { value, start: saved.start.map(|_| base), best, bad, cooling, ..*self };
    }
}
