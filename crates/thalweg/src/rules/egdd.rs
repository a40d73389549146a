//! EGDD: exponentiated gradient "delta-delta" (lingvo, Google 2020): a gain per coordinate and a
//! scale per tensor, both learned multiplicatively from agreements that ignore sizes.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::probe::GainSlots;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

/// Limits of the gains in the reference code.
const GAIN: [f64; 2] = [0.01, 100.0];
/// Limits of the scale in the reference code.
const SCALE: [f64; 2] = [0.1, 10.0];

crate::hypers! {
    /// EGDD with signs and directions, the defaults of the reference code. Around another direction
    /// `d` the momentum gathers `d` in place of `g`.
    ///
    /// `scale ← clamp(scale·exp(κ·cos(g, h)))`, `gain ← clamp(gain·exp(γ·sign(g)·sign(mean)))`,
    /// `h ← μ·h + η·gain·d`, `mean ← β·mean + (1−β)·g`, update `scale·h`. Multiplying the loss by a
    /// number and dividing the learning rate by it changes nothing.
    pub struct Egdd {
        /// Learning rate, stored in the momentum.
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
        /// Share of the momentum kept.
        momentum "μ" = 0.9 in Range::RATE,
        /// Decay rate of the mean gradient.
        beta "β" = 0.9 in Range::RATE,
        /// Rate at which the logarithms of the gains learn.
        gain_lr "γ" = 1e-2 in Range::NON_NEGATIVE,
        /// Rate at which the logarithm of the scale learns.
        scale_lr "κ" = 1e-3 in Range::NON_NEGATIVE,
    }
}

impl Fold for Egdd {}

impl Part for Egdd {
    type Memory<F: Real> = [F; 3];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 3];
    const SLOTS: &'static [Slot] = &[slot_as("gain", "p").exact(), slot_as("buf", "h"), slot("mean")];
    const SCALARS: &'static [Slot] = &[slot_as("scale", "s")];
    const JOIN: &'static [Join] = &[Join::Sum; 3];

    fn start<F: Real>(&self, _: F) -> [F; 3] {
        [F::number(1.0), F::number(0.0), F::number(0.0)]
    }

    fn scalars(&self) -> [f64; 1] {
        [1.0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> [F; 3] + Copy + Send + Sync + use<F> {
        |_, Here { g, .. }, [_, h, _]| [g * h, g * g, h * h]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [inner, g, h]: [W; 3],
        [scale]: [W; 1],
    ) -> [W; 1] {
        let guard = W::number(1e-10);
        let cosine = (inner / ((g.sqrt() + guard) * (h.sqrt() + guard))).called("cos");
        let [low, high] = SCALE.map(W::number);
        [(scale * (at.get(&self.scale_lr) * cosine).exp()).clamp(low, high)]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [scale]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> (F, [F; 3]) + Copy + Send + Sync + use<F> {
        let [lr, mu] = at.lift([at.get(&self.lr), at.get(&self.momentum)]);
        let [b, a, _] = at.ema(&self.beta);
        // A sign has three values, so the factor has three: no exponential in the sweep.
        let rate = at.get(&self.gain_lr);
        let [grow, shrink] = at.lift([rate.exp(), (-rate).exp()]);
        let [low, high] = GAIN.map(F::number);
        let (zero, one) = (F::number(0.0), F::number(1.0));
        move |d, Here { g, .. }, [p, h, mean]| {
            let agreement = g.sign() * mean.sign();
            let falling = F::select(agreement.lt(zero), shrink, one);
            let factor = F::select(zero.lt(agreement), grow, falling);
            let p = (p * factor).clamp(low, high);
            let h = mu * h + lr * p * d;
            let mean = b * mean + a * g;
            (scale * h, [p, h, mean])
        }
    }

    fn gains(&self, _: u64) -> Option<GainSlots> {
        let [min, max] = GAIN;
        Some(GainSlots { logarithm: false, scale: Some(0), ..GainSlots::per_coordinate(2, min, max) })
    }
}

crate::registry::blocks!(fold Egdd);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "egdd",
    title: "EGDD",
    summary: "Learned gains per coordinate and a learned scale per tensor, blind to the loss's scale.",
    source: "lingvo egdd.py (Google 2020); Amid, Anil, Fifty & Warmuth 2022, arXiv 2202.00145",
    chain: recipes::egdd,
    tune: &[log_range("lr", 1e-3, 1e1), log_range("gain_lr", 1e-3, 1e-1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::Egdd;
    use crate::chain::Chain;

    /// EGDD: `lr` 1e-3, `momentum` 0.9, `beta` 0.9, `gain_lr` 0.01, `scale_lr` 0.001 (reference code).
    pub fn egdd() -> Chain {
        Chain::new(()).fold(Egdd::default())
    }
}
