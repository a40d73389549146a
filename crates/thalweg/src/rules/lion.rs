//! Lion (Chen et al. 2023, arXiv 2302.06675): the sign of a mixture of momentum and gradient, found
//! by a search over programs.

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// Lion's direction: `sign(β₁·m + (1−β₁)·g)`, after which `m` takes in `g` with the longer
    /// memory β₂. Every coordinate moves by the whole learning rate or not at all.
    pub struct Lion {
        /// Share of the momentum in what is moved by (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// Decay rate of the momentum (paper 0.99).
        beta2 "β₂" = 0.99 in Range::RATE,
    }
}

impl Rule for Lion {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("m")];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F> {
        let [b1, a1, _] = at.ema(&self.beta1);
        let [b2, a2, _] = at.ema(&self.beta2);
        move |g, _, [m]| ((b1 * m + a1 * g).sign(), [b2 * m + a2 * g])
    }
}

const TUNE: &[crate::registry::Tune] =
    &[log_range("lr", 1e-5, 1e-1), log_range("decay", 1e-4, 1e0)];

crate::registry::blocks!(rule Lion);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "lion",
        title: "Lion",
        summary: "The sign of a mixture of momentum and gradient, with decoupled decay.",
        source: "Chen et al. 2023, arXiv 2302.06675",
        chain: recipes::lion,
        tune: TUNE,
    },
    Entry {
        name: "lion@optax",
        title: "Lion (optax)",
        summary: "Lion with decay 1e-3.",
        source: "optax.lion",
        chain: recipes::lion_optax,
        tune: TUNE,
    },
    Entry {
        name: "lion@keras",
        title: "Lion (Keras)",
        summary: "Lion with learning rate 1e-3.",
        source: "keras.optimizers.Lion",
        chain: recipes::lion_keras,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::Lion;
    use crate::chain::Chain;
    use crate::rules::{DecayWeights, Scale};

    /// Lion with the defaults of the official code: `lr` 1e-4, `beta1` 0.9, `beta2` 0.99, `decay` 0.
    pub fn lion() -> Chain {
        with(0.0, 1e-4)
    }

    /// Lion as in optax, which asks for the rate (1e-4 here): `decay` 1e-3.
    pub fn lion_optax() -> Chain {
        with(1e-3, 1e-4)
    }

    /// Lion as in Keras: `lr` 1e-3, `decay` 0.
    pub fn lion_keras() -> Chain {
        with(0.0, 1e-3)
    }

    fn with(decay: f64, lr: f64) -> Chain {
        let decay = DecayWeights::default().decay(decay);
        Chain::new((Lion::default(), decay, Scale::default().lr(lr)))
    }
}
