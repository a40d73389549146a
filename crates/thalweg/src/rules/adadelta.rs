//! AdaDelta (Zeiler 2012, arXiv 1212.5701).

use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

crate::hypers! {
    /// AdaDelta's direction: the gradient times the ratio of the running root mean squares of past
    /// updates and of gradients, `√(delta + ε) / √(v + ε)`, with the old `delta`.
    ///
    /// ε is not a guard here but the scale of the first steps, about `√(ε/(1−ρ))`: the learning
    /// rate the method claims to do without (E35).
    pub struct AdaDelta {
        /// Decay rate of both mean squares (torch and optax 0.9, paper and Keras 0.95).
        rho "ρ" = 0.9 in Range::RATE,
        /// Inside both roots, in units of the squared parameter and of the squared gradient (torch 1e-6).
        eps "ε" = 1e-6 in Range::POSITIVE,
    }
}

impl Rule for AdaDelta {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("v").non_negative(), slot_as("delta", "Δ").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F> {
        let [rho, new, _] = at.ema(&self.rho);
        let [eps] = at.lift([at.get(&self.eps)]);
        let eps = eps.away_from_zero();
        move |g, _, [v, delta]| {
            let v = rho * v + new * g * g;
            // One root of the quotient in place of two roots: half the cost, the same number.
            let u = ((delta + eps) / (v + eps)).sqrt() * g;
            let delta = rho * delta + new * u * u;
            (u, [v, delta])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-2, 1e2)];

crate::registry::blocks!(rule AdaDelta);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "adadelta",
        title: "AdaDelta",
        summary: "Steps in the parameter's own units; ε sets the scale of the first ones.",
        source: "Zeiler 2012, arXiv 1212.5701; torch.optim.Adadelta",
        chain: recipes::adadelta,
        tune: TUNE,
    },
    Entry {
        name: "adadelta@optax",
        title: "AdaDelta (optax)",
        summary: "The same formula; optax itself needs an explicit learning rate.",
        source: "optax.adadelta",
        chain: recipes::adadelta,
        tune: TUNE,
    },
    Entry {
        name: "adadelta@keras",
        title: "AdaDelta (Keras)",
        summary: "The same formula with lr 1e-3, rho 0.95, eps 1e-7: a thousand times slower.",
        source: "keras.optimizers.Adadelta",
        chain: recipes::adadelta_keras,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::rules::{AdaDelta, Scale};

    /// AdaDelta: `lr` 1 (paper and torch), `rho` 0.9, `eps` 1e-6 (torch).
    pub fn adadelta() -> Chain {
        Chain::new((AdaDelta::default(), Scale::default().lr(1.0)))
    }

    /// AdaDelta with Keras' defaults: `lr` 1e-3, `rho` 0.95, `eps` 1e-7.
    pub fn adadelta_keras() -> Chain {
        Chain::new((AdaDelta::default().rho(0.95).eps(1e-7), Scale::default()))
    }
}
