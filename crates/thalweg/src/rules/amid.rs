//! The momentum form of Amid, Anil, Fifty & Warmuth 2022 (arXiv 2202.00145), "funnelled SGDM", as
//! a public survey transcribes it: raw products in place of EGDD's signs and cosines.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::probe::GainSlots;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot_as};

/// Limits of gain and scale. The transcription has none; without any, a raw product overflows.
const LIMITS: [f64; 2] = [1e-3, 1e3];

crate::hypers! {
    /// `p ← p·exp(γ·m·g)`, `s ← s·exp(κ·⟨h, g⟩)`, `m ← β·m + (1−β)·g`, `h ← μ·h + η·p·d`, update
    /// `s·h`: gains and scale by exponentiated gradient on products, which carry the units of a
    /// squared gradient.
    ///
    /// The logarithm of `p` is stored, limited to `[10⁻³, 10³]` as `s` is.
    pub struct FunnelledSgdm {
        /// Learning rate, stored in the momentum (ours 1e-3).
        lr "η" = 1e-3 in Range::NON_NEGATIVE,
        /// Share of the momentum kept (as in lingvo’s EGDD, 0.9).
        momentum "μ" = 0.9 in Range::RATE,
        /// Decay rate of the mean gradient (as in lingvo’s EGDD, 0.9).
        beta "β" = 0.9 in Range::RATE,
        /// Rate at which the logarithms of the gains learn, per squared gradient (ours 0.01).
        gain_lr "γ" = 1e-2 in Range::NON_NEGATIVE,
        /// Rate at which the logarithm of the scale learns, per unit of gradient times update (ours 1e-3).
        scale_lr "κ" = 1e-3 in Range::NON_NEGATIVE,
    }
}

impl Fold for FunnelledSgdm {}

impl Part for FunnelledSgdm {
    type Memory<F: Real> = [F; 3];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot_as("ell", "ℓ").exact(), slot_as("buf", "h"), slot_as("mean", "m")];
    const SCALARS: &'static [Slot] = &[slot_as("scale", "s")];
    const JOIN: &'static [Join] = &[Join::Sum];

    fn scalars(&self) -> [f64; 1] {
        [1.0]
    }

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> [F; 1] + Copy + Send + Sync + use<F> {
        |_, Here { g, .. }, [_, h, _]| [h * g]
    }

    fn settle<W: Real<Wide = W>>(
        &self,
        at: &At<W>,
        _: usize,
        [inner]: [W; 1],
        [scale]: [W; 1],
    ) -> [W; 1] {
        let [low, high] = LIMITS.map(W::number);
        [(scale * (at.get(&self.scale_lr) * inner).exp()).clamp(low, high)]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [scale]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 3]) -> (F, [F; 3]) + Copy + Send + Sync + use<F> {
        let [lr, mu, gamma] =
            at.lift([at.get(&self.lr), at.get(&self.momentum), at.get(&self.gain_lr)]);
        let [b, a, _] = at.ema(&self.beta);
        let [low, high] = at.lift(LIMITS.map(|limit| F::Wide::number(limit).ln()));
        move |d, Here { g, .. }, [ell, h, m]| {
            let ell = (ell + gamma * (m * g)).clamp(low, high);
            let m = b * m + a * g;
            let h = mu * h + lr * ell.exp() * d;
            (scale * h, [ell, h, m])
        }
    }

    fn gains(&self, _: u64) -> Option<GainSlots> {
        let [min, max] = LIMITS;
        Some(GainSlots { scale: Some(0), ..GainSlots::per_coordinate(2, min, max) })
    }
}

crate::registry::blocks!(fold FunnelledSgdm);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "funnelled_sgdm",
    title: "Funnelled SGDM",
    summary: "Gains and scale by exponentiated gradient on raw products, with momentum.",
    source: "Amid, Anil, Fifty & Warmuth 2022, arXiv 2202.00145, as transcribed by a public survey",
    chain: recipes::funnelled_sgdm,
    tune: &[log_range("lr", 1e-3, 1e1), log_range("gain_lr", 1e-3, 1e1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::FunnelledSgdm;
    use crate::chain::Chain;

    /// Funnelled SGDM: `lr` 1e-3, `momentum` 0.9, `beta` 0.9, `gain_lr` 0.01, `scale_lr` 0.001
    /// (EGDD's; the paper's own values are not known to us).
    pub fn funnelled_sgdm() -> Chain {
        Chain::new(()).fold(FunnelledSgdm::default())
    }
}
