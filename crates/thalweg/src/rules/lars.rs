//! LARS (You, Gitman & Ginsburg 2017, arXiv 1708.03888): momentum on gradients scaled to the
//! tensor's norm.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Multiplies the update by `τ·‖x‖/(‖g‖ + λ·‖x‖)`, LARS as in its paper. Other than
    /// [`TrustRatio`](crate::rules::TrustRatio) it does not see the update but gradient and decay apart, so
    /// that they cannot cancel in the norm; its decay is what
    /// [`DecayWeights`](crate::rules::DecayWeights) before it adds. Where the parameter is zero, or what it would be
    /// divided by, the update stays as it is. One extra reading pass.
    pub struct SeparateTrustRatio {
        /// Length of the update in units of the tensor's norm (paper 1e-3).
        trust "τ" = 1e-3 in Range::NON_NEGATIVE,
        /// Share of the parameter that the update holds besides the gradient (paper 5e-4).
        decay "λ" = 5e-4 in Range::NON_NEGATIVE,
    }
}

impl Fold for SeparateTrustRatio {}

impl Part for SeparateTrustRatio {
    type Memory<F: Real> = [F; 0];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SCALARS: &'static [Slot] = &[slot_as("ratio", "r")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        _: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> [F; 2] + Copy + Send + Sync + use<F> {
        |_, Here { g, x }, []| [x * x, g * g]
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [x, g]: [W; 2], _: [W; 1]) -> [W; 1] {
        let length = x.sqrt().called("‖x‖");
        let size = (g.sqrt() + at.get(&self.decay) * length).called("s");
        let both = W::number(0.0).lt(length.min(size));
        [W::select(both, at.get(&self.trust) * length / size, W::number(1.0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [ratio]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        move |u, _, []| (ratio * u, [])
    }
}

crate::registry::blocks!(fold SeparateTrustRatio);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "lars",
        title: "LARS",
        summary: "Momentum on gradients that are scaled to a share of the tensor's norm.",
        source: "You, Gitman & Ginsburg 2017, arXiv 1708.03888; optax.lars",
        chain: recipes::lars,
        tune: &[log_range("lr", 1e-2, 1e2)],
    },
    Entry {
        name: "lars@paper",
        title: "LARS (paper)",
        summary: "LARS whose ratio has the norms of gradient and decay apart.",
        source: "You, Gitman & Ginsburg 2017, arXiv 1708.03888",
        chain: recipes::lars_paper,
        tune: &[log_range("lr", 1e-2, 1e2)],
    },
];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use super::SeparateTrustRatio;
    use crate::rules::{DecayWeights, Momentum, Scale, TrustRatio};

    /// LARS: `lr` 1, `trust` 1e-3, `momentum` 0.9 with the rate in the buffer, `decay` 0 (optax).
    pub fn lars() -> Chain {
        Chain::new(DecayWeights::default().decay(0.0))
            .fold(<TrustRatio>::default().trust(1e-3))
            .then((Scale::default().lr(1.0), Momentum::default()))
    }

    /// LARS as in its paper: `lr` 1, `trust` 1e-3, `momentum` 0.9 with the rate in the buffer, `decay` 5e-4,
    /// the norms of gradient and decay apart.
    pub fn lars_paper() -> Chain {
        Chain::new(DecayWeights::default().decay(5e-4))
            .fold(SeparateTrustRatio::default())
            .then((Scale::default().lr(1.0), Momentum::default()))
    }
}
