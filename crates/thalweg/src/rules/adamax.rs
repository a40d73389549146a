//! Adamax (Kingma & Ba 2015, arXiv 1412.6980, section 7.1): Adam with the largest gradient in place
//! of the root mean square.

use crate::hyper::{Hypers, Range};
use crate::real::Real;
use crate::registry::{Entry, log_range};
use crate::rule::{At, Here, Rule, Slot, slot, slot_as};

/// Where Adamax has its ε.
pub trait NormGuard: Hypers + Default + Clone + Send + Sync + 'static {
    /// `[added to |g|, added to the norm]`, neither of which lets the divisor be zero.
    fn get<F: Real>(&self, at: &At<F>) -> [F; 2];
}

crate::hypers! {
    /// `n ← max(β₂·n, |g| + ε)` (torch, optax).
    pub struct InMaximum {
        /// Added to the size of the gradient before the maximum is taken (torch 1e-8).
        eps "ε" = 1e-8 in Range::NON_NEGATIVE,
    }
}

impl NormGuard for InMaximum {
    fn get<F: Real>(&self, at: &At<F>) -> [F; 2] {
        let [eps] = at.lift([at.get(&self.eps)]);
        [eps.away_from_zero(), F::number(0.0)]
    }
}

crate::hypers! {
    /// `n ← max(β₂·n, |g|)`, divided by `n + ε` (Keras).
    pub struct OnMaximum {
        /// Added to the norm when it divides, in units of the gradient (keras 1e-7).
        eps "ε" = 1e-7 in Range::NON_NEGATIVE,
    }
}

impl NormGuard for OnMaximum {
    fn get<F: Real>(&self, at: &At<F>) -> [F; 2] {
        let [eps] = at.lift([at.get(&self.eps)]);
        [F::number(0.0), eps.away_from_zero()]
    }
}

crate::hypers! {
    /// Adamax's direction: `m̂ / n`, with the norm `n` (the paper's u) the largest gradient so far, which fades. It is the
    /// limit of Adam with p-th powers in place of squares; `n` needs no bias correction.
    pub struct Adamax<G: NormGuard = InMaximum> {
        /// Decay rate of the first moment (paper 0.9).
        beta1 "β₁" = 0.9 in Range::RATE,
        /// What is left of the largest gradient after a step (paper 0.999).
        beta2 "β₂" = 0.999 in Range::RATE,
        with guard: G = G::default(),
    }
}

impl<G: NormGuard> Rule for Adamax<G> {
    type Memory<F: Real> = [F; 2];
    const SLOTS: &'static [Slot] = &[slot("m"), slot_as("norm", "n").non_negative()];

    #[inline(always)]
    fn at<F: Real>(
        &self,
        at: &At<F>,
    ) -> impl Fn(F, Here<F>, [F; 2]) -> (F, [F; 2]) + Copy + Send + Sync + use<F, G> {
        let [b1, a1, c1] = at.ema(&self.beta1);
        let [b2] = at.lift([at.get(&self.beta2)]);
        let [inside, outside] = self.guard.get(at);
        move |g, _, [m, norm]| {
            let m = b1 * m + a1 * g;
            let norm = (b2 * norm).max(g.abs() + inside);
            (c1 * m / (norm + outside), [m, norm])
        }
    }
}


const TUNE: &[crate::registry::Tune] = &[log_range("lr", 1e-4, 1e0)];

crate::registry::blocks!(
    rule Adamax<InMaximum>,
    rule Adamax<OnMaximum>,
);

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "adamax",
        title: "Adamax",
        summary: "Running mean of the gradient over its largest size so far, which fades.",
        source: "Kingma & Ba 2015, arXiv 1412.6980; torch.optim.Adamax",
        chain: recipes::adamax,
        tune: TUNE,
    },
    Entry {
        name: "adamax@optax",
        title: "Adamax (optax)",
        summary: "Adamax as in torch.",
        source: "optax.adamax",
        chain: recipes::adamax_optax,
        tune: TUNE,
    },
    Entry {
        name: "adamax@keras",
        title: "Adamax (Keras)",
        summary: "Adamax with ε 1e-7 outside the maximum.",
        source: "keras.optimizers.Adamax",
        chain: recipes::adamax_keras,
        tune: TUNE,
    },
    Entry {
        name: "adamax@paper",
        title: "Adamax (paper)",
        summary: "Adamax without ε: a coordinate that never had a gradient stays.",
        source: "Kingma & Ba 2015, arXiv 1412.6980, algorithm 2",
        chain: recipes::adamax_paper,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::{Adamax, OnMaximum};
    use crate::chain::Chain;
    use crate::rules::Scale;

    /// Adamax as in torch: `lr` 2e-3, `beta1` 0.9, `beta2` 0.999, `eps` 1e-8.
    pub fn adamax() -> Chain {
        Chain::new((<Adamax>::default(), Scale::default().lr(2e-3)))
    }

    /// Adamax as in optax, which has torch's form and no default rate; `lr` 1e-3.
    pub fn adamax_optax() -> Chain {
        Chain::new((<Adamax>::default(), Scale::default()))
    }

    /// Adamax as in Keras: `lr` 1e-3, `eps` 1e-7.
    pub fn adamax_keras() -> Chain {
        Chain::new((Adamax::<OnMaximum>::default(), Scale::default()))
    }

    /// Adamax as in the paper: `lr` 2e-3, `beta1` 0.9, `beta2` 0.999, `eps` 0.
    pub fn adamax_paper() -> Chain {
        let direction = Adamax::<OnMaximum>::default().guard(OnMaximum::default().eps(0.0));
        Chain::new((direction, Scale::default().lr(2e-3)))
    }
}
