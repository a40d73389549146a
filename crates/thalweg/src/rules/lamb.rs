//! LAMB (You et al. 2020, arXiv 1904.00962): Adam whose step is as long as the tensor is large.

use crate::hyper::Range;
use crate::part::{Fold, Join, Part};
use crate::real::Real;
use crate::registry::{Entry, Tune, log_range};
use crate::rule::{At, Here, Slot, slot_as};

crate::hypers! {
    /// Scales the update of a tensor to `τ·‖x‖/‖u‖` times itself, so that a step is a share of the
    /// tensor's norm. Where either norm is zero the update stays as it is, or a tensor of zeros
    /// could never leave them. One extra reading pass.
    pub struct TrustRatio {
        /// Length of the update in units of the tensor's norm (LAMB 1, LARS 1e-3).
        trust "τ" = 1.0 in Range::NON_NEGATIVE,
    }
}

impl Fold for TrustRatio {}

impl Part for TrustRatio {
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
        |u, Here { x, .. }, []| {
            let u = u.called("u");
            [x * x, u * u]
        }
    }

    fn settle<W: Real<Wide = W>>(&self, at: &At<W>, _: usize, [x, u]: [W; 2], _: [W; 1]) -> [W; 1] {
        let ratio = at.get(&self.trust) * x.sqrt() / u.sqrt();
        [W::select(W::number(0.0).lt(x.min(u)), ratio, W::number(1.0))]
    }

    #[inline(always)]
    fn at<F: Real>(
        &self,
        _: &At<F>,
        [ratio]: [F; 1],
    ) -> impl Fn(F, Here<F>, [F; 0]) -> (F, [F; 0]) + Copy + Send + Sync + use<F> {
        move |u, _, []| (ratio * u.called("u"), [])
    }
}

crate::registry::blocks!(fold TrustRatio);

const TUNE: &[Tune] = &[log_range("lr", 1e-4, 1e0)];

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        name: "lamb",
        title: "LAMB",
        summary: "AdamW whose step is a share of the tensor's norm.",
        source: "You et al. 2020, arXiv 1904.00962",
        chain: recipes::lamb,
        tune: &[log_range("lr", 1e-4, 1e0), log_range("decay", 1e-4, 1e-1)],
    },
    Entry {
        name: "lamb@optax",
        title: "LAMB (optax)",
        summary: "LAMB without decay and with a second ε under the root.",
        source: "optax.lamb",
        chain: recipes::lamb_optax,
        tune: TUNE,
    },
    Entry {
        name: "lamb@keras",
        title: "LAMB (Keras)",
        summary: "LAMB with ε 1e-7 and no decay inside the ratio.",
        source: "keras.optimizers.Lamb",
        chain: recipes::lamb_keras,
        tune: TUNE,
    },
];

pub mod recipes {
    //! Ready-made chains.
    use super::TrustRatio;
    use crate::chain::Chain;
    use crate::convention::{Both, Denominator, Outside};
    use crate::rules::{Adam, DecayWeights, Scale};

    /// LAMB as in the paper: `lr` 1e-3, `eps` 1e-6, `decay` 1e-2 inside the ratio.
    pub fn lamb() -> Chain {
        let direction = <Adam>::default().denominator(Outside::new(1e-6));
        Chain::new((direction, DecayWeights::default()))
            .fold(TrustRatio::default())
            .then(Scale::default())
    }

    /// LAMB as in optax: `eps` 1e-6, `eps_root` 0, `decay` 0.
    pub fn lamb_optax() -> Chain {
        let direction = Adam::<Both>::default().denominator(Both::new(1e-6));
        Chain::new((direction, DecayWeights::default().decay(0.0)))
            .fold(TrustRatio::default())
            .then(Scale::default())
    }

    /// LAMB as in Keras without its decay: `eps` 1e-7.
    pub fn lamb_keras() -> Chain {
        let direction = <Adam>::default().denominator(Outside::new(1e-7));
        Chain::new(direction).fold(TrustRatio::default()).then(Scale::default())
    }
}
