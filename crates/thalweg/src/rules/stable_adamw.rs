//! StableAdamW (Wortsman et al. 2023, arXiv 2304.13013): AdamW that shortens its step where the
//! second moment lags behind the gradient.

use crate::hyper::{Hyper, Range};
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Slot, slot, slot_as};

crate::hypers! {
    /// AdamW divided by `max(1, √mean(g²/max(v, ε²)))` of the tensor, the decay with it. The
    /// moments are corrected in their rates, `β̂ = (βᵗ − β)/(βᵗ − 1)`, so `m` and `v` need no
    /// correction later.
    pub struct StableAdamW {
        /// Decay rate of the first moment (optimi 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (optimi and pytorch_optimizer 0.99).
        beta2 "β₂" = 0.99 in Range::RATE,
        /// Added to the root, in units of the gradient; its square bounds `v` below in the mean (ours 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
        /// Share of the parameter removed per step and unit of learning rate (optimi 1e-2).
        decay "λ" = 1e-2 in Range::NON_NEGATIVE,
    }
}

/// `[β̂, 1 − β̂]`: the running average with this rate has no bias.
fn rates<F: Real>(at: &At<F>, beta: &Hyper, name: &'static str) -> [F; 2] {
    let (one, b) = (F::Wide::number(1.0), at.get(beta));
    let power = b.pow(at.t());
    let rate = ((power - b) / (power - one)).called(name);
    at.lift([rate, one - rate])
}

impl Fold for StableAdamW {}

impl Part for StableAdamW {
    type Memory<F: Real> = [F; 2];
    type Scalars<F: Real> = [F; 1];
    type Terms<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];
    const SCALARS: &'static [Slot] = &[slot_as("factor", "f")];
    const JOIN: &'static [Join] = &[Join::Sum; 2];

    #[inline(always)]
    fn terms<F: Real>(
        &self,
        at: &At<F>,
        _: usize,
        _: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> [F; 2] + Copy + Send + Sync + use<F> {
        let [b2, a2] = rates(at, &self.beta2, "β̂₂");
        let eps = at.get(&self.eps);
        let [floor] = at.lift([eps * eps]);
        let (floor, one) = (floor.away_from_zero(), F::number(1.0));
        move |g, _, [_, v]| {
            let v = b2 * v + a2 * g * g;
            [g * g / v.max(floor), one]
        }
    }

    fn settle<W: Real<Wide = W>>(&self, _: &At<W>, _: usize, [sum, n]: [W; 2], _: [W; 1]) -> [W; 1] {
        let one = W::number(1.0);
        let rms = (sum / n.called("n")).sqrt().called("rms");
        [one / rms.max(one)]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
        [factor]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [b1, a1] = rates(at, &self.beta1, "β̂₁");
        let [b2, a2] = rates(at, &self.beta2, "β̂₂");
        let [eps, decay] = at.lift([at.get(&self.eps), at.get(&self.decay)]);
        let eps = eps.away_from_zero();
        move |g, Here { x, .. }, [m, v]| {
            let m = b1 * m + a1 * g;
            let v = b2 * v + a2 * g * g;
            (factor * (m / (v.sqrt() + eps) + decay * x), [m, v])
        }
    }
}

crate::registry::blocks!(fold StableAdamW);

pub(crate) const ENTRIES: &[Entry] = &[Entry {
    name: "stable_adamw",
    title: "StableAdamW",
    summary: "AdamW that shortens the step of a tensor whose second moment lags behind.",
    source: "Wortsman et al. 2023, arXiv 2304.13013; pytorch_optimizer.StableAdamW",
    chain: recipes::stable_adamw,
    tune: &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)],
}];

pub mod recipes {
    //! Ready-made chains.
    use super::StableAdamW;
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// StableAdamW: `lr` 1e-3, `beta1` 0.9, `beta2` 0.99, `eps` 1e-8, `decay` 1e-2 (pytorch_optimizer).
    pub fn stable_adamw() -> Chain {
        Chain::new(()).fold(StableAdamW::default()).then(Scale::default())
    }
}
