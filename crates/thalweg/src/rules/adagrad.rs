//! AdaGrad (Duchi, Hazan & Singer 2011, JMLR 12:2121).

use crate::convention::{Denominator, Outside};
use crate::hyper::Range;
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot};

crate::hypers! {
    /// AdaGrad's direction: `sum ← sum + g²`, the update is `g / (√sum + ε)`, divided by
    /// `1 + (t−1)·lr_decay` if torch's `lr_decay` is set.
    ///
    /// The sum never forgets a large past (E32): after a fall of the gradient's scale the step
    /// stays small. On a quadratic it converges and the rate settles (E31).
    pub struct AdaGrad<E: Denominator = Outside> {
        /// What the sum starts from, in units of the squared gradient (torch 0, optax and Keras 0.1).
        initial "sum₀" once = 0.0 in Range::NON_NEGATIVE,
        /// Decay of the learning rate per step (torch).
        lr_decay "δ" = 0.0 in Range::NON_NEGATIVE,
        with denominator: E = E::new(1e-10),
    }
}

impl<E: Denominator> Rule for AdaGrad<E> {
    type Memory<F: Real> = [F; 1];
    const SLOTS: &'static [Slot] = &[slot("sum").non_negative()];

    fn start<F: Real>(&self, _: F) -> [F; 1] {
        [F::number(self.initial.value(0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 1]) -> (F, [F; 1]) + Copy + Send + Sync + use<F, E> {
        let one = F::Wide::number(1.0);
        let decay = one / (one + (at.t() - one) * at.get(&self.lr_decay));
        let [decay] = at.lift([decay]);
        let root = self.denominator.at(at, one);
        move |g, _, [sum]| {
            let sum = sum + g * g;
            (decay * g / root(sum), [sum])
        }
    }
}

const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-3, 1e1)];

crate::registry::blocks!(
    rule AdaGrad<Outside>,
    rule AdaGrad<crate::Inside>,
    rule AdaGrad<crate::Hat>,
    rule AdaGrad<crate::Floor>,
    rule AdaGrad<crate::Both>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "adagrad",
        title: "AdaGrad",
        summary: "Divides by the root of all squared gradients so far; good for sparse features.",
        source: "Duchi, Hazan & Singer 2011; torch.optim.Adagrad",
        chain: recipes::adagrad,
        tune: TUNE,
    },
    Entry {
        name: "adagrad@optax",
        title: "AdaGrad (optax)",
        summary: "ε 1e-7 inside the root, accumulator from 0.1.",
        source: "optax.adagrad",
        chain: recipes::adagrad_optax,
        tune: TUNE,
    },
    Entry {
        name: "adagrad@keras",
        title: "AdaGrad (Keras)",
        summary: "ε 1e-7 inside the root, accumulator from 0.1.",
        source: "keras.optimizers.Adagrad",
        chain: recipes::adagrad_optax,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use crate::chain::Chain;
    use crate::convention::Inside;
    use crate::rules::{AdaGrad, Scale};

    /// AdaGrad, the paper's and torch's form. `lr` 0.01, `eps` 1e-10, `initial` 0 (torch).
    pub fn adagrad() -> Chain {
        Chain::new((<AdaGrad>::default(), Scale::default().lr(0.01)))
    }

    /// AdaGrad as in optax and Keras: `eps` 1e-7 inside the root, `initial` 0.1. `lr` 0.001 (Keras).
    pub fn adagrad_optax() -> Chain {
        let eps = Inside::default().eps(1e-7);
        let direction = AdaGrad::<Inside>::default().initial(0.1).denominator(eps);
        Chain::new((direction, Scale::default()))
    }
}
