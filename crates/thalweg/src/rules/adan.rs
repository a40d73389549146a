//! Adan (Xie et al. 2022, arXiv 2208.06677): adaptive Nesterov momentum from differences of gradients.

use crate::convention::{Both, Denominator, Outside};
use crate::hyper::{Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

/// With which weight differences of gradients enter the update and the second moment.
pub trait DifferenceWeight: Hypers + Default + Clone + Send + Sync + 'static {
    /// The weight, given the decay rate β₂ of the differences.
    fn weight<W: Real<Wide = W>>(beta2: W) -> W;
}

crate::hypers! {
    /// β₂, 0.92 by default: the paper, whose β are one minus the ones here, and the official code.
    pub struct Kept {}
}

impl DifferenceWeight for Kept {
    fn weight<W: Real<Wide = W>>(beta2: W) -> W {
        beta2
    }
}

crate::hypers! {
    /// 1 − β₂, 0.08 by default: optax, which writes the paper's letters over its own decay rates.
    pub struct Complement {}
}

impl DifferenceWeight for Complement {
    fn weight<W: Real<Wide = W>>(beta2: W) -> W {
        W::number(1.0) - beta2
    }
}

crate::hypers! {
    /// Adan's direction: running means `m` of the gradient, `d` of its differences from step to step,
    /// and `v` of the square of `g + β₂·(g − g₋₁)`, the gradient as it will be.
    ///
    /// The letters are torch's: β is what is kept. The paper's β are one minus them.
    pub struct Adan<E: Denominator = Outside, D: DifferenceWeight = Kept> {
        /// Decay rate of the gradient's running mean (official code 0.98).
        beta1 "β₁" = 0.98 in Range::RATE,
        /// Decay rate of the differences' running mean (official code 0.92).
        beta2 "β₂" = 0.92 in Range::RATE,
        /// Decay rate of the second moment (official code 0.99).
        beta3 "β₃" = 0.99 in Range::RATE,
        with denominator: E = E::new(1e-8),
        with difference: D = D::default(),
    }
}

impl<E: Denominator, D: DifferenceWeight> Rule for Adan<E, D> {
    type Memory<F: Real> = [F; 4];
    const SLOTS: &'static [Slot] =
        &[slot("m"), slot_as("diff", "d"), slot("v").non_negative(), slot_as("prev", "g₋₁")];
    const WHOLE: bool = true;

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 4]) -> (F, [F; 4]) + Copy + Send + Sync + use<F, E, D> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, c2] = at.ema(&self.beta2);
        let [b3, a3, _] = at.ema(&self.beta3);
        // The first gradient has no difference to one before it.
        let known = F::number(if at.is_first() { 0.0 } else { 1.0 });
        let [weight] = at.lift([D::weight(at.get(&self.beta2))]);
        let root = self.denominator.at(at, at.correction(&self.beta3));
        move |g, _, [m, d, v, prev]| {
            let change = known * (g - prev);
            let m = b1 * m + a1 * g;
            let d = b2 * d + a2 * change;
            let ahead = g + weight * change;
            let v = b3 * v + a3 * ahead * ahead;
            ((c1 * m + weight * (c2 * d)) / root(v), [m, d, v, g])
        }
    }
}

const TUNE: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];

crate::registry::blocks!(
    rule Adan<crate::Outside, Kept>,
    rule Adan<crate::Both, Complement>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "adan",
        title: "Adan",
        summary: "Adam with Nesterov momentum estimated from differences of gradients; proximal decay.",
        source: "Xie et al. 2022, arXiv 2208.06677; pytorch_optimizer.Adan",
        chain: recipes::adan,
        tune: TUNE,
    },
    Entry {
        name: "adan@optax",
        title: "Adan (optax)",
        summary: "Differences weigh 1 − β₂ in place of β₂; a second ε under the root; decoupled decay.",
        source: "optax.adan",
        chain: recipes::adan_optax,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Adan, Both, Complement};
    use crate::chain::Chain;
    use crate::rules::{DecayWeights, ProximalDecay, Scale};

    /// Adan as in the official code: `lr` 1e-3, `beta1` 0.98, `beta2` 0.92, `beta3` 0.99,
    /// `eps` 1e-8, `decay` 0, proximal.
    pub fn adan() -> Chain {
        Chain::new((<Adan>::default(), ProximalDecay::default(), Scale::default()))
    }

    /// Adan as in optax, which asks for the rate (1e-3 here): `eps` and `eps_root` 1e-8, `decay` 0.
    pub fn adan_optax() -> Chain {
        let direction = Adan::<Both, Complement>::default();
        let direction = direction.denominator(Both::default().eps_root(1e-8));
        Chain::new((direction, DecayWeights::default().decay(0.0), Scale::default()))
    }
}
