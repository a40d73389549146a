//! Loss scaling: small gradients must not vanish in half precision.

use serde::{Deserialize, Serialize};

/// A factor on the loss that keeps gradients inside the range of f16 (Micikevicius et al. 2018,
/// arXiv 1710.03740), with the schedule of `torch.amp.GradScaler`: doubled after `interval` steps
/// without overflow, halved at every overflow, whose step is refused; not below 2⁻²⁴. Where the refusal is an
/// error ([`NonFinite::Fail`](crate::NonFinite), or the limit of `Skip` is reached) it stays as it is.
///
/// The loop multiplies the loss by [`Optimizer::loss_scale`](crate::Optimizer::loss_scale) before the
/// backward pass; the step divides it out of the gradients, clips, steps and adapts the scale.
///
/// ```
/// use thalweg::{LossScale, Optimizer, Param, recipes::adamw};
/// let mut opt: Optimizer<f32> =
///     Optimizer::<f32>::builder().rest("all", adamw()).loss_scale(LossScale::default()).build()?;
/// let mut x = vec![1.0];
/// let scale = opt.loss_scale() as f32;
/// assert_eq!(scale, 65536.0);
/// let report = opt.step(&mut [Param::new("x", &[1], &mut x, &[f32::INFINITY])])?;
/// assert!(!report.applied() && opt.loss_scale() == 32768.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[must_use]
pub struct LossScale {
    scale: f64,
    growth: f64,
    backoff: f64,
    interval: u64,
    /// Steps without overflow since the last change.
    calm: u64,
}

/// An overflow does not make the scale smaller than this.
const SMALLEST: f64 = 1.0 / (1u64 << 24) as f64;

impl Default for LossScale {
    /// The defaults of torch: 65,536, doubled every 2,000 steps, halved at overflow.
    fn default() -> Self {
        LossScale { scale: 65536.0, growth: 2.0, backoff: 0.5, interval: 2000, calm: 0 }
    }
}

impl LossScale {
    /// A scale that never changes.
    pub fn constant(scale: f64) -> LossScale {
        LossScale { scale, growth: 1.0, backoff: 1.0, ..LossScale::default() }
    }

    /// The first scale, above 0.
    pub fn start(self, scale: f64) -> LossScale {
        LossScale { scale, ..self }
    }

    /// What the scale is multiplied by after `interval` steps in a row without overflow, at least 1.
    pub fn growth(self, growth: f64, interval: u64) -> LossScale {
        LossScale { growth, interval, ..self }
    }

    /// What the scale is multiplied by at an overflow, in (0, 1].
    pub fn backoff(self, backoff: f64) -> LossScale {
        LossScale { backoff, ..self }
    }

    pub(super) fn value(&self) -> f64 {
        self.scale
    }

    pub(super) fn calm(&self) -> u64 {
        self.calm
    }

    /// The settings by name; `interval` is a whole number.
    pub(crate) fn settings(&self) -> [(&'static str, f64); 4] {
        [
            ("scale", self.scale),
            ("growth", self.growth),
            ("backoff", self.backoff),
            ("interval", self.interval as f64),
        ]
    }

    /// The first setting that makes no sense, with its permitted values.
    pub(crate) fn wrong(&self) -> Option<(&'static str, f64, &'static str)> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        if !positive(self.scale) {
            Some(("loss_scale", self.scale, "(0, ∞)"))
        } else if !(self.growth >= 1.0 && self.growth.is_finite()) {
            Some(("growth", self.growth, "[1, ∞)"))
        } else if !(positive(self.backoff) && self.backoff <= 1.0) {
            Some(("backoff", self.backoff, "(0, 1]"))
        } else if self.interval == 0 {
            Some(("interval", 0.0, "[1, ∞)"))
        } else {
            None
        }
    }

    /// Goes on where a saved one was; its settings stay.
    pub(super) fn resume(&mut self, saved: &LossScale) {
        if !self.is_constant() {
            (self.scale, self.calm) = (saved.scale, saved.calm);
        }
    }

    /// Whether it never changes, so that the scale is a setting too.
    pub(crate) fn is_constant(&self) -> bool {
        self.growth == 1.0 && self.backoff == 1.0
    }

    /// The settings that differ from those of a saved one.
    pub(super) fn differences(&self, saved: &LossScale) -> Vec<String> {
        let settings = self.settings().into_iter().zip(saved.settings());
        let set = |name: &str| name != "scale" || self.is_constant();
        settings
            .filter(|((name, now), (_, then))| now != then && set(name))
            .map(|((name, now), (_, then))| format!("loss_scale.{name}: saved {then}, here {now}"))
            .collect()
    }

    /// Whether a refused step makes the next one more likely to succeed.
    pub(super) fn adapts(&self) -> bool {
        self.shrunk() < self.scale
    }

    /// The scale after an overflow.
    fn shrunk(&self) -> f64 {
        // Gradients divided by less would leave single precision themselves, and no overflow is cured by it.
        (self.scale * self.backoff).max(SMALLEST.min(self.scale))
    }

    pub(super) fn applied(&mut self) {
        self.calm += 1;
        if self.calm >= self.interval {
            let grown = self.scale * self.growth;
            // Beyond single precision the scaled loss itself would overflow.
            self.scale = if grown <= f64::from(f32::MAX) { grown } else { self.scale };
            self.calm = 0;
        }
    }

    pub(super) fn overflowed(&mut self) {
        self.scale = self.shrunk();
        self.calm = 0;
    }
}
