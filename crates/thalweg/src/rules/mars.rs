//! MARS (Yuan et al. 2024, arXiv 2411.10438): variance reduction before an adaptive method.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

crate::hypers! {
    /// The corrected gradient of MARS: `c = g + γ·β₁/(1−β₁)·(g − g₋₁)`, scaled to norm 1 per tensor if
    /// its norm is larger. It is the update that the next rule receives: MARS-AdamW is this before
    /// [`Adam`](crate::rules::Adam), MARS-Lion this before [`Signum`](crate::rules::Signum). Building an optimizer
    /// refuses another `beta1` than theirs.
    ///
    /// This is the form with the last step's gradient in place of a second gradient of the present
    /// batch ("MARS-approx"). The first gradient is compared with zero. One extra reading pass.
    pub struct MarsCorrection {
        /// Strength of the correction (paper 0.025).
        gamma "γ" = 0.025 in Range::NON_NEGATIVE,
        /// Decay rate of the first moment that follows (paper 0.95).
        beta1 "β₁" = 0.95 in Range::RATE,
        /// The largest norm of a tensor's corrected gradient (paper 1).
        max_norm "c_max" = 1.0 in Range::LIMIT,
    }
}

impl MarsCorrection {
    fn weight<F: Real>(&self, at: &At<F>) -> F {
        let b = at.get(&self.beta1);
        F::lift(at.get(&self.gamma) * b / (F::Wide::number(1.0) - b))
    }
}

impl Fold for MarsCorrection {}

impl Part for MarsCorrection {
    type Memory<F: Real> = [F; 1];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot_as("prev", "g₋₁")];
    const SCALARS: &'static [Slot] = &[slot("factor")];
    const JOIN: &'static [Join] = &[Join::Sum];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> [F; 1] + Copy + Send + Sync + use<F> {
        let weight = self.weight(at);
        move |g, _, [prev]| {
            let c = g + weight * (g - prev);
            [c * c]
        }
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [square]: [W; 1], _: [W; 1]) -> [W; 1] {
        let (norm, max) = (square.sqrt(), at.get(&self.max_norm));
        [W::select(max.lt(norm), max / norm, W::number(1.0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [factor]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let weight = self.weight(at);
        move |g, _, [prev]| (factor * (g + weight * (g - prev)), [g])
    }
}

const TUNE: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];

crate::registry::blocks!(fold MarsCorrection);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "mars",
        title: "MARS-AdamW",
        summary: "AdamW on gradients whose variance is reduced by comparing with the last one.",
        source: "Yuan et al. 2024, arXiv 2411.10438",
        chain: recipes::mars,
        tune: TUNE,
    },
    Entry {
        name: "mars@pytorch_optimizer",
        title: "MARS-AdamW (pytorch-optimizer)",
        summary: "MARS with ε added before the bias is removed, and 1e-15 under the root.",
        source: "pytorch_optimizer.MARS",
        chain: recipes::mars_pytorch_optimizer,
        tune: TUNE,
    },
    Entry {
        name: "mars_lion",
        title: "MARS-Lion",
        summary: "The sign of a momentum of gradients whose variance is reduced.",
        source: "Yuan et al. 2024, arXiv 2411.10438; pytorch_optimizer.MARS(mars_type='lion')",
        chain: recipes::mars_lion,
        tune: &[log_range("lr", 1e-5, 1e-1), log_range("decay", 1e-4, 1e0)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::MarsCorrection;
    use crate::chain::Chain;
    use crate::convention::{Denominator, HatBoth, Outside};
    use crate::rule::Rule;
    use crate::rules::{Adam, DecayWeights, Scale, Signum};

    fn with(direction: impl Rule) -> Chain {
        let decay = DecayWeights::default().decay(0.0);
        let after = (direction, decay, Scale::default().lr(3e-3));
        Chain::new(()).fold(MarsCorrection::default()).then(after)
    }

    fn adam<E: Denominator>() -> Adam<E> {
        Adam::<E>::default().beta1(0.95).beta2(0.99)
    }

    /// MARS-AdamW as in the official code: `lr` 3e-3, `beta1` 0.95, `beta2` 0.99, `gamma` 0.025,
    /// `max_norm` 1, `eps` 1e-8, `decay` 0. Set `beta1` with [`Chain::set`], which sets both.
    pub fn mars() -> Chain {
        with(adam::<Outside>())
    }

    /// MARS-AdamW as in pytorch-optimizer: `eps` before the bias is removed, `eps_root` 1e-15.
    pub fn mars_pytorch_optimizer() -> Chain {
        with(adam::<HatBoth>())
    }

    /// MARS-Lion: the sign of the momentum of the corrected gradients; `lr` 3e-3, `beta1` 0.95.
    pub fn mars_lion() -> Chain {
        with(Signum::default().beta1(0.95))
    }
}
