//! LaProp (Ziyin, Wang & Ueda 2020, arXiv 2002.04839): momentum of normed gradients, where Adam norms
//! the momentum.

use crate::convention::{Denominator, Outside};
use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// LaProp's direction: the running mean of `g / (√v̂ + ε)`, corrected for its start at zero. Each
    /// gradient is divided by the size it was expected to have when it came, so β₁ may be
    /// larger than √β₂ without harm.
    pub struct LaProp<E: Denominator = Outside> {
        /// Decay rate of the momentum (paper 0.9, its μ).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the second moment (paper 0.999, its ν).
        beta2 "β₂" = 0.999 in Range::RATE,
        with denominator: E = E::new(1e-15),
    }
}

impl<E: Denominator> Rule for LaProp<E> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot("v").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, E> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        let root = self.denominator.at(at, at.correction(&self.beta2));
        move |g, _, [m, v]| {
            let v = b2 * v + a2 * g * g;
            let m = b1 * m + a1 * g / root(v);
            (c1 * m, [m, v])
        }
    }
}

const TUNE: &[crate::registry::Tune] =
    &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)];

crate::registry::blocks!(
    rule LaProp<crate::Outside>,
    rule LaProp<crate::HatBoth>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "laprop",
        title: "LaProp",
        summary: "Momentum of normed gradients, in place of Adam's normed momentum.",
        source: "Ziyin, Wang & Ueda 2020, arXiv 2002.04839",
        chain: recipes::laprop,
        tune: TUNE,
    },
    Entry {
        name: "laprop@pytorch_optimizer",
        title: "LaProp (pytorch-optimizer)",
        summary: "LaProp with ε added before the bias is removed, and 1e-15 under the root.",
        source: "pytorch_optimizer.LaProp",
        chain: recipes::laprop_pytorch_optimizer,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::LaProp;
    use crate::chain::Chain;
    use crate::convention::HatBoth;
    use crate::rule::Rule;
    use crate::rules::{DecayWeights, Scale};

    fn with(direction: impl Rule) -> Chain {
        let decay = DecayWeights::default().decay(0.0);
        Chain::new((direction, decay, Scale::default().lr(4e-4)))
    }

    /// LaProp, the paper's form: `lr` 4e-4, `beta1` 0.9, `beta2` 0.999, `eps` 1e-15, `decay` 0.
    pub fn laprop() -> Chain {
        with(<LaProp>::default())
    }

    /// LaProp as in pytorch-optimizer: `eps` before the bias is removed, `eps_root` 1e-15.
    pub fn laprop_pytorch_optimizer() -> Chain {
        with(LaProp::<HatBoth>::default())
    }
}
